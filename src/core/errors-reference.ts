import { ERRORS, type ErrorFacts } from './errors.ts';

const HEAD = `# Errors

Generated from \`src/core/errors.ts\` by \`tools/write-errors-reference.ts\`; a test compares the two.

A code is stable: scripts and alerts may rely on it. It stands in logs and JSON answers as \`code\`, and in gRPC answers in
the trailer \`sealwright-reason\`. A message says what happened, the values that belong to it, and what would be right.
The exit code is that of a command that ends by the error: 1 a check failed, 2 wrong usage, 3 unreachable.
`;

/** The text of `docs/reference/errors.md`. */
export function renderErrorsReference(): string {
  const codes = Object.entries(ERRORS).sort(([a], [b]) => (a < b ? -1 : 1));
  return HEAD + codes.map(([code, facts]) => renderRow(code, facts)).join('');
}

function renderRow(code: string, { what, remedy, grpc, http, exit }: ErrorFacts): string {
  return `
## \`${code}\`

What happened: ${plain(what)}.

What would be right: ${plain(remedy)}.

gRPC \`${grpc}\`, HTTP ${http}, exit code ${exit}.
`;
}

/** Markdown would read these as HTML and as emphasis. */
function plain(text: string): string {
  return text.replaceAll('<', '&lt;').replaceAll('*', '\\*').replaceAll('_', '\\_');
}

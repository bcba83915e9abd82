#!/usr/bin/env node
// No static import stands here: an older Node would fail on the TypeScript behind it before it could say why.
const [major] = process.versions.node.split('.', 1);
if (Number(major) < 24) {
  process.stderr.write(
    `sealwright needs Node 24 or newer and was started by ${process.version}: in a checkout run it by npm ` +
      `("npm ci", then "npm start" or "npm run sealwright -- ARGS"; the install must run scripts and include the ` +
      `development dependencies, which bring a newer Node), elsewhere start it with a Node of 24 or newer\n`,
  );
  process.exitCode = 2;
} else {
  // The published package holds the emitted JavaScript; a checkout runs its TypeScript source as it is.
  const { existsSync } = await import('node:fs');
  const emitted = new URL('../dist/src/cli/main.js', import.meta.url);
  const source = new URL('../src/cli/main.ts', import.meta.url);
  // Half of a short command's time goes into taking the types out of the source. What is kept lies beside the source, so
  // that nobody can put code there who could not change the source as well. For programs that stay it is their memory that
  // counts, and coverage is less precise with it.
  const stays = ['ca', 'proxy', 'demo'].includes(process.argv[2] ?? '');
  if (existsSync(source) && !stays && process.env.NODE_V8_COVERAGE === undefined) {
    const { enableCompileCache } = await import('node:module');
    const { fileURLToPath } = await import('node:url');
    enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/sealwright', import.meta.url)));
  }
  const { main } = await import((existsSync(source) ? source : emitted).href);
  process.exitCode = await main(process.argv.slice(2));
}

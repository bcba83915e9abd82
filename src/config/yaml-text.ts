import { parseDocument } from 'yaml';

/** One document's share of a text: from its `---` line, or the beginning, up to the next one. */
export interface YamlChunk {
  readonly start: number;
  readonly end: number;
  /** The document's own text, without the `---` before it. */
  readonly body: string;
}

/**
 * Cuts a text at its `---` lines, so that one document can be replaced while every other character stays as it is.
 * Sound because YAML 1.2 (9.1.2) forbids the marker at the beginning of a line inside any content.
 */
export function splitYaml(text: string): YamlChunk[] {
  const starts = [...text.matchAll(/^---(?=\s|$)/gm)].map((match) => match.index);
  if (starts[0] !== 0) starts.unshift(0);
  return starts.map((start, index): YamlChunk => {
    const end = starts[index + 1] ?? text.length;
    return { start, end, body: text.slice(start, end).replace(/^---[^\S\n]*\n?/, '') };
  });
}

/** The text with one field set, its comments and order kept. For a text that `parseYaml` found nothing wrong with. */
export function setYamlField(body: string, path: readonly string[], value: string): string {
  const document = parseDocument(body, { logLevel: 'silent' });
  document.setIn(path, value);
  return document.toString({ lineWidth: 0 });
}

import { isAlias, isMap, isSeq, LineCounter, parseAllDocuments, type Document } from 'yaml';
import type { Issue } from '../core/issue.ts';
import { parseFieldPath, type FieldPath, type FieldStep } from './field-path.ts';
import { faultOf, type YamlFault } from './yaml-fault.ts';
import { keyText, offsetOf, valueOfDocument } from './yaml-value.ts';

/** A place in a text. Both are counted from 1; columns in UTF-16 units, as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One document as plain JSON values that still know where they stand, if they stand anywhere. */
export interface SourceDocument {
  readonly file: string | undefined;
  /** JSON values only: no dates, no cycles, no keys that are not text. `undefined` where there are issues. */
  readonly value: unknown;
  readonly issues: readonly Issue[];
  /** See `YamlDocument`. Nothing where there is no text. */
  locate(path: FieldPath): Position | undefined;
}

/** One document of a YAML text. */
export interface YamlDocument extends SourceDocument {
  /** Where the document's content begins, as an offset into the text. */
  readonly offset: number;
  /** Where a field stands (its key; in a list the item), or the nearest object around it that there is. */
  locate(path: FieldPath): Position;
}

export interface YamlText {
  /** Documents with content, in their order; those of nothing but comments are left out. */
  readonly documents: readonly YamlDocument[];
  /** The findings of all documents, and of the text itself. All are errors. */
  readonly issues: readonly Issue[];
}

export interface YamlOptions {
  /** The name for messages. */
  readonly file?: string | undefined;
  /** In bytes. */
  readonly maxSize?: number;
}

/** Kubernetes takes 1.5 MiB a resource; parsing this much takes some 200 ms, and it happens on the event loop. */
const LARGEST = 1024 * 1024;

/** Each document costs kilobytes before its first character is read. */
const MOST_DOCUMENTS = 2_000;

/**
 * Reads a text of several YAML 1.2 documents (so also JSON). Never throws: whatever is wrong with the input is an
 * issue with line and column.
 */
export function parseYaml(input: string | Uint8Array, options: YamlOptions = {}): YamlText {
  const { file, maxSize = LARGEST } = options;
  const fail = (fault: Omit<YamlFault, 'offset' | 'path'>, line = 1): YamlText => ({
    documents: [],
    issues: [{ severity: 'error', ...fault, path: '', ...(file === undefined ? {} : { file }), line, column: 1 }],
  });
  const size = typeof input === 'string' ? Buffer.byteLength(input) : input.length;
  if (size > maxSize) {
    const remedy = `split it into files of at most ${maxSize} bytes`;
    return fail({ code: 'yaml_too_large', message: `${size} bytes are too many`, remedy });
  }
  const text = typeof input === 'string' ? input : decodeUtf8(input);
  if (text === undefined) {
    return fail({ code: 'yaml_encoding', message: 'not UTF-8 text', remedy: 'save the file as UTF-8' });
  }
  const markers = text.match(/^(?:---|\.\.\.)/gm)?.length ?? 0;
  if (markers > MOST_DOCUMENTS) {
    const message = `more than ${MOST_DOCUMENTS} documents in one text`;
    return fail({ code: 'yaml_too_large', message, remedy: 'split it into several files' });
  }
  const lines = new LineCounter();
  let parsed: readonly Document.Parsed[];
  try {
    parsed = parseAllDocuments(text, {
      lineCounter: lines,
      // Its own check is quadratic; `valueOfDocument` finds duplicates instead.
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'silent',
    });
  } catch (error) {
    // The composer recurses once a level, so thousands of opening brackets end in a RangeError.
    const deep = error instanceof RangeError;
    return fail({
      code: deep ? 'yaml_too_deep' : 'yaml_syntax',
      message: deep ? 'nested too deep' : 'not readable as YAML',
      remedy: deep ? 'flatten the document' : 'write valid YAML 1.2',
    });
  }
  const documents = parsed.flatMap((document) => readDocument(document, { file, lines }) ?? []);
  return Object.freeze({
    documents: Object.freeze(documents.filter((document) => document.value !== null)),
    issues: Object.freeze(documents.flatMap((document) => document.issues)),
  });
}

/** The same finding with the file, line and column of its field; what is set already stays. */
export function placeIssue(issue: Issue, document: Pick<SourceDocument, 'file' | 'locate'>): Issue {
  if (issue.line !== undefined) return issue;
  const file = issue.file ?? document.file;
  return { ...issue, ...(file === undefined ? {} : { file }), ...document.locate(issue.path) };
}

function readDocument(
  document: Document.Parsed,
  { file, lines }: { file: string | undefined; lines: LineCounter },
): YamlDocument {
  const place = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const start = offsetOf(document.contents) ?? document.range[0];
  // A warning is a tag or directive that was not understood: what is not understood is refused.
  const faults = [...document.errors, ...document.warnings].slice(0, 20).map(faultOf);
  if (document.directives.yaml.explicit === true || Object.keys(document.directives.tags).length > 1) {
    const remedy = 'leave out lines that begin with %';
    faults.push({ code: 'yaml_directive', message: 'directives are not read', remedy, offset: start, path: '' });
  }
  const content = faults.length > 0 ? { value: undefined, faults: [] } : valueOfDocument(document);
  const issues = [...faults, ...content.faults].map(({ offset, ...fault }): Issue => {
    return { severity: 'error', ...fault, ...(file === undefined ? {} : { file }), ...place(offset) };
  });
  return Object.freeze({
    file,
    value: issues.length > 0 ? undefined : content.value,
    issues: Object.freeze(issues),
    offset: start,
    locate: (path: FieldPath) => {
      return place(findOffset(document, typeof path === 'string' ? parseFieldPath(path) : path) ?? start);
    },
  });
}

/** The offset of the deepest step of the path that exists. */
function findOffset(document: Document.Parsed, steps: readonly FieldStep[]): number | undefined {
  let node: unknown = document.contents;
  let found = offsetOf(node);
  for (const step of steps) {
    if (isAlias(node)) break;
    if (isMap(node)) {
      const pair = node.items.find((item) => keyText(item.key) === String(step));
      if (pair === undefined) break;
      found = offsetOf(pair.key) ?? found;
      node = pair.value;
    } else if (isSeq(node) && typeof step === 'number') {
      const item = node.items[step];
      if (item === undefined) break;
      found = offsetOf(item) ?? found;
      node = item;
    } else break;
  }
  return found;
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

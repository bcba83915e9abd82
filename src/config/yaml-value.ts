import { isAlias, isMap, isScalar, isSeq, type Document, type Pair } from 'yaml';
import { formatFieldPath, type FieldStep } from './field-path.ts';
import type { YamlFault } from './yaml-fault.ts';

/** Deeper nesting than any resource needs; bounds our own recursion. */
export const DEEPEST = 64;

/** Aliases of one document: the library's own default against "billion laughs". */
const MOST_ALIASES = 100;

/** Values of one document after aliases are expanded: what a file of the largest size could hold without any. */
export const MOST_VALUES = 500_000;

/** Beyond this, more findings help nobody. */
const MOST_FAULTS = 20;

/**
 * The plain value of a document: what the same text is as JSON. Not the library's own `toJS`, because its check for
 * duplicate keys is quadratic in the size of a map, it takes keys of any type, and its alias bound sees no positions.
 */
export function valueOfDocument(document: Document.Parsed): { value: unknown; faults: YamlFault[] } {
  const reader = new ValueReader();
  const value = reader.read(document.contents, [], 0);
  return { value, faults: reader.faults };
}

/** The text of a key, or nothing where it is no string: `8080` counts, as in JSON made of YAML by Kubernetes. */
export function keyText(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  if (typeof key.value === 'string') return key.value;
  const written = typeof key.value === 'number' ? (key.source ?? '') : '';
  return /^(0|-?[1-9]\d*)$/.test(written) ? written : undefined;
}

class ValueReader {
  readonly faults: YamlFault[] = [];
  readonly #anchors = new Map<string, unknown>();
  readonly #open = new Set<unknown>();
  #aliases = 0;
  #values = 0;
  /** Inside an expanded alias: anchors are known already, and offsets point away from where the reader looks. */
  #expanding: number | undefined;

  read(node: unknown, path: readonly FieldStep[], offset: number): unknown {
    this.#values += 1;
    const at = this.#expanding ?? offsetOf(node) ?? offset;
    if (this.#values > MOST_VALUES) return this.#refuse(at, path, 'yaml_too_large', ...TOO_MANY_VALUES);
    if (path.length > DEEPEST) return this.#refuse(at, path, 'yaml_too_deep', ...TOO_DEEP);
    if (node === null || node === undefined) return null;
    if (isAlias(node)) return this.#readAlias(node.source, path, at);
    this.#rememberAnchor(node);
    if (isScalar(node)) return this.#readScalar(node.value, path, at);
    const scalar = textEndingInColon(node);
    if (scalar !== undefined) return scalar;
    this.#open.add(node);
    try {
      if (isMap(node)) return this.#readMap(node.items, path, at);
      if (isSeq(node)) return node.items.map((item, index) => this.read(item, [...path, index], at));
      return this.#refuse(at, path, 'yaml_syntax', 'a value of a kind that JSON does not have', 'write plain YAML');
    } finally {
      this.#open.delete(node);
    }
  }

  #readMap(items: readonly Pair[], path: readonly FieldStep[], offset: number): Record<string, unknown> {
    const record: Record<string, unknown> = {};
    for (const { key, value } of items) {
      const at = this.#expanding ?? offsetOf(key) ?? offset;
      const name = keyText(key);
      if (name === undefined) this.#refuse(at, path, 'yaml_key', 'a key is not text', 'write keys as plain text');
      else if (name === '<<') this.#refuse(at, path, 'yaml_merge', ...MERGE);
      else if (name === '__proto__') this.#refuse(at, path, 'yaml_key', ...PROTO);
      else if (Object.hasOwn(record, name)) this.#refuse(at, [...path, name], 'yaml_duplicate_key', ...DUPLICATE);
      else {
        if (isScalar(key)) this.#rememberAnchor(key);
        record[name] = this.read(value, [...path, name], at);
      }
      if (this.#values > MOST_VALUES) break;
    }
    return record;
  }

  #readScalar(value: unknown, path: readonly FieldStep[], at: number): unknown {
    if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
    const exact = typeof value === 'number' && Number.isFinite(value);
    if (!exact) return this.#refuse(at, path, 'yaml_number', 'not a value that JSON has', 'write a finite number');
    if (Number.isInteger(value) && !Number.isSafeInteger(value))
      return this.#refuse(at, path, 'yaml_number', 'a number too large to be read exactly', 'put it in quotes');
    return value;
  }

  #readAlias(name: string, path: readonly FieldStep[], at: number): unknown {
    this.#aliases += 1;
    if (this.#aliases > MOST_ALIASES) return this.#refuse(at, path, 'yaml_alias', ...TOO_MANY_ALIASES);
    const target = this.#anchors.get(name);
    if (target === undefined)
      return this.#refuse(at, path, 'yaml_alias', `no anchor &${name.slice(0, 64)} stands before it`, ANCHOR_REMEDY);
    if (this.#open.has(target))
      return this.#refuse(at, path, 'yaml_alias', 'an alias inside its own anchor', ANCHOR_REMEDY);
    const outer = this.#expanding;
    this.#expanding = outer ?? at;
    try {
      return this.read(target, path, at);
    } finally {
      this.#expanding = outer;
    }
  }

  #rememberAnchor(node: unknown): void {
    if (this.#expanding !== undefined || !(isScalar(node) || isMap(node) || isSeq(node))) return;
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
  }

  #refuse(offset: number, path: readonly FieldStep[], code: string, message: string, remedy: string): undefined {
    if (this.faults.length < MOST_FAULTS)
      this.faults.push({ code, message, remedy, offset, path: formatFieldPath(path.slice(0, 16)) });
    return undefined;
  }
}

/**
 * `[2001:db8::]` is an object with an empty value by the letter of YAML 1.2 (7.3.3), and text for the reader that
 * Kubernetes uses (go-yaml); nobody writes the first, and an address at the end of a list is the second.
 */
function textEndingInColon(node: unknown): string | undefined {
  if (!isMap(node) || node.flow !== true || node.items.length !== 1) return undefined;
  const { key, value } = node.items[0] ?? {};
  if (!isScalar(key) || key.type !== 'PLAIN' || !isScalar(value) || value.source !== '') return undefined;
  const inBraces = node.range?.[0] !== key.range?.[0];
  const adjacent = key.range?.[1] !== undefined && value.range?.[0] === key.range[1] + 1;
  return !inBraces && adjacent ? `${key.source ?? ''}:` : undefined;
}

export function offsetOf(node: unknown): number | undefined {
  if (isScalar(node) || isMap(node) || isSeq(node) || isAlias(node)) return node.range?.[0];
  return undefined;
}

const ANCHOR_REMEDY = 'write the value out instead of the alias';
const DUPLICATE = ['the same key twice', 'keep one of them'] as const;
const MERGE = ['merge keys (<<) are not read', 'write the merged fields out'] as const;
const PROTO = ['__proto__ is no name of a field', 'leave it out'] as const;
const TOO_DEEP = [`nested deeper than ${DEEPEST} levels`, 'flatten the document'] as const;
const TOO_MANY_ALIASES = [`more than ${MOST_ALIASES} aliases in one document`, ANCHOR_REMEDY] as const;
const TOO_MANY_VALUES = [`more than ${MOST_VALUES} values after aliases are expanded`, ANCHOR_REMEDY] as const;

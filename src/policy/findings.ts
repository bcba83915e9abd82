import type { Issue } from '../core/issue.ts';
import { suggestWord } from '../core/nearest-word.ts';
import type { ResourceDocument } from './resource-document.ts';

/** What is wrong with one field. */
export interface Finding {
  /** The stable name of the rule that was broken. */
  readonly code: string;
  /** The field; empty for the whole document. */
  readonly path: string;
  readonly message: string;
  readonly remedy: string;
}

/** Collects the findings of one document and puts file, line and column beside each. */
export class Findings {
  readonly #document: Pick<ResourceDocument, 'file' | 'locate'>;
  readonly #issues: Issue[] = [];
  #errors = 0;

  constructor(document: Pick<ResourceDocument, 'file' | 'locate'>) {
    this.#document = document;
  }

  get issues(): readonly Issue[] {
    return Object.freeze([...this.#issues]);
  }

  /** Whether the document has to be refused. */
  get failed(): boolean {
    return this.#errors > 0;
  }

  error(finding: Finding): void {
    this.#errors += 1;
    this.#add('error', finding);
  }

  warning(finding: Finding): void {
    this.#add('warning', finding);
  }

  /** A field that does not exist: taken for a slip, never skipped, for a condition that is not read is one not applied. */
  unknownField(path: string, name: string, known: readonly string[]): void {
    this.error({
      code: 'policy_unknown_field',
      path,
      message: `there is no field ${JSON.stringify(name.slice(0, 100))}`,
      remedy: suggestWord(name, known, `the fields are ${known.join(', ')}`),
    });
  }

  #add(severity: Issue['severity'], finding: Finding): void {
    const { file, locate } = this.#document;
    this.#issues.push(
      Object.freeze({
        severity,
        ...finding,
        ...(file === undefined ? {} : { file }),
        ...locate?.(finding.path),
      }),
    );
  }
}

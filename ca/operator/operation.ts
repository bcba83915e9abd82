import { SealwrightError } from '../../src/core/errors.ts';

/** What an actor must be to run an operation. An operator may do all that a viewer may. */
export type Role = 'viewer' | 'operator';

/** Who asked, as the ledger records it: `socket:uid=0` for the Unix socket. */
export interface Actor {
  readonly name: string;
  readonly role: Role;
}

/**
 * One row of the operator API. The command line and the dashboard speak these and nothing else, so that what a person
 * can do is one list, with the role each line asks for.
 */
export interface Operation {
  readonly name: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly role: Role;
  /** One sentence for the reference page. */
  readonly summary: string;
  /** Runs it. What it returns is answered as JSON; an async iterable of lines as newline-delimited text. */
  run(input: OperationInput, actor: Actor): Promise<unknown>;
}

/** The parameters of one call: the query of a GET, the JSON body of a POST, read field by field. */
export class OperationInput {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(fields: Readonly<Record<string, unknown>>) {
    this.#fields = fields;
  }

  /** @throws SealwrightError `operator_input_invalid` where the field is there and is no text */
  text(name: string): string | undefined {
    const value = this.#get(name);
    if (value === undefined || typeof value === 'string') return value;
    throw invalid(name, 'must be text');
  }

  /** @throws SealwrightError `operator_input_invalid` where the field is missing */
  requiredText(name: string): string {
    const value = this.text(name);
    if (value === undefined || value === '') throw invalid(name, 'is missing');
    return value;
  }

  /** A whole number that is not negative; GET parameters carry it as digits. */
  wholeNumber(name: string): number | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number;
    throw invalid(name, 'must be a whole number');
  }

  texts(name: string): readonly string[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.length <= 64 && value.every((item) => typeof item === 'string')) return value;
    throw invalid(name, 'must be a list of at most 64 texts');
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }
}

function invalid(field: string, reason: string): SealwrightError {
  return new SealwrightError('operator_input_invalid', { field, reason });
}

import { join } from 'node:path';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import { readIfThere, replacePrivateFile } from '../../src/workload/private-file.ts';

const FILE = 'last-good.json';
const FORMAT = 1;

/** What a sidecar keeps of the control stream for a start without it. */
export interface LastGood {
  /** The workload that it is for; another's is of no use. */
  readonly uid: string;
  readonly trustDomain: string;
  readonly rootNamespace: string;
  /** By the type's name in a subscription. */
  readonly types: ReadonlyMap<string, readonly XdsResource[]>;
  /** The destinations in use, the one used last at the end; of those without a resource it is known that there is none. */
  readonly hosts: readonly string[];
}

/**
 * Writes it a piece at a time: ten thousand policies as one text would hold the event loop for longer than their push.
 *
 * @throws SealwrightError `workload_folder_unwritable`
 */
export async function saveLastGood(folder: string, lastGood: LastGood): Promise<void> {
  await replacePrivateFile(join(folder, FILE), piecesOf(lastGood));
}

/** Below a millisecond of text. */
const RESOURCES_OF_PIECE = 128;

/** One JSON object, its types last. */
function* piecesOf({ types, ...rest }: LastGood): Generator<string> {
  yield `${JSON.stringify({ format: FORMAT, ...rest }).slice(0, -1)},"types":{`;
  let between = '';
  for (const [typeUrl, resources] of types) {
    yield `${between}${JSON.stringify(typeUrl)}:[`;
    between = ',';
    for (let from = 0; from < resources.length; from += RESOURCES_OF_PIECE) {
      const texts = resources.slice(from, from + RESOURCES_OF_PIECE).map(textOf);
      yield `${from === 0 ? '' : ','}${texts.join()}`;
    }
    yield ']';
  }
  yield '}}\n';
}

function textOf({ name, version, aliases, body }: XdsResource): string {
  const value = Buffer.from(body.value).toString('base64');
  return JSON.stringify({ name, version, aliases, body: { typeUrl: body.typeUrl, value } });
}

/** What an earlier run kept for this very workload; what cannot be used is said and left alone. */
export async function loadLastGood(
  folder: string,
  wanted: Pick<LastGood, 'uid' | 'trustDomain' | 'rootNamespace'>,
  logger: Logger,
): Promise<LastGood | undefined> {
  const file = join(folder, FILE);
  try {
    const text = await readIfThere(file);
    if (text === undefined) return undefined;
    const kept = readLastGood(JSON.parse(text));
    for (const field of ['uid', 'trustDomain', 'rootNamespace'] as const) {
      if (kept[field] !== wanted[field]) return unusable(`its ${field} is ${kept[field].slice(0, 300)}`);
    }
    return kept;
  } catch (error) {
    logger.warn('the configuration of the last run cannot be used', { file, reason: reasonOf(error) });
    return undefined;
  }
}

function readLastGood(value: unknown): LastGood {
  const root = object(value);
  if (root['format'] !== FORMAT) return unusable('it is of another format');
  const types = Object.entries(object(root['types'])).map(([typeUrl, resources]): [string, XdsResource[]] => [
    typeUrl,
    list(resources).map(readResource),
  ]);
  return {
    uid: text(root['uid']),
    trustDomain: text(root['trustDomain']),
    rootNamespace: text(root['rootNamespace']),
    types: new Map(types),
    hosts: list(root['hosts']).map(text),
  };
}

function readResource(value: unknown): XdsResource {
  const { name, version, aliases, body } = object(value);
  const { typeUrl, value: bytes } = object(body);
  return {
    name: text(name),
    version: text(version),
    aliases: list(aliases).map(text),
    body: { typeUrl: text(typeUrl), value: Buffer.from(text(bytes), 'base64') },
  };
}

function object(value: unknown): Readonly<Record<string, unknown>> {
  const fine = typeof value === 'object' && value !== null && !Array.isArray(value);
  return fine ? (value as Readonly<Record<string, unknown>>) : unusable('it has another shape');
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : unusable('it has another shape');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : unusable('it has another shape');
}

function unusable(reason: string): never {
  throw new SealwrightError('sidecar_config_unusable', { reason });
}

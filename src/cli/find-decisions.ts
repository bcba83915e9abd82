import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { dirname, join, resolve } from 'node:path';
import { SealwrightError, reasonOf } from '../core/errors.ts';
import type { DecisionReport } from '../../proxy/decisions/decision-log.ts';

/** One decision, and the workload whose sidecar made it. */
export interface FoundDecision {
  /** `namespace/name`. */
  readonly workload: string;
  readonly decision: DecisionReport;
}

export interface DecisionSearch {
  readonly found: readonly FoundDecision[];
  /** Sidecars that were asked. */
  readonly asked: number;
  /** Those that could not be, as `namespace/name: why`. */
  readonly silent: readonly string[];
}

/** Milliseconds. */
const TIMEOUT = 5_000;
/** Bytes of one answer: some decisions of workloads with very many policies. */
const LARGEST_ANSWER = 64 * 1024 * 1024;

/** A sidecar whose own folder the settings name. */
interface NamedState {
  /** Its `proxy.state`. */
  readonly folder: string;
  /** `namespace/name`, where the settings have that too. */
  readonly workload: string | undefined;
}

/**
 * Asks the sidecars of these folders (`workloads/<namespace>/<name>/explain.sock`) about one request id, and the one that
 * keeps its state elsewhere.
 *
 * @param workload `namespace/name` of the only one to ask
 */
export async function findDecisions(
  id: string,
  {
    folders,
    state,
    workload,
  }: {
    readonly folders: readonly string[];
    readonly state?: NamedState | undefined;
    readonly workload?: string | undefined;
  },
): Promise<DecisionSearch> {
  const found: FoundDecision[] = [];
  const silent: string[] = [];
  let asked = 0;
  const reached = new Set<string>();
  const tryOne = async (folder: string, name: string, around: string): Promise<void> => {
    try {
      const decisions = await ask(join(folder, 'explain.sock'), id);
      asked += 1;
      reached.add(folder).add(name);
      found.push(...decisions.map((decision) => ({ workload: name, decision })));
    } catch (error) {
      silent.push(`${name}: ${isAbsent(error) ? `no sidecar of it runs in ${around}` : reasonOf(error)}`);
    }
  };
  // One whose name is not known may be any.
  if (state !== undefined && (workload ?? state.workload) === (state.workload ?? workload)) {
    await tryOne(resolve(state.folder), state.workload ?? workload ?? state.folder, state.folder);
  }
  for (const workloads of new Set(folders.map((folder) => resolve(folder, 'workloads')))) {
    for (const name of workload === undefined ? await namesIn(workloads) : [workload]) {
      const folder = join(workloads, name);
      const isKnown = reached.has(folder) || (workload !== undefined && reached.has(name));
      if (!isKnown) await tryOne(folder, name, dirname(workloads));
    }
  }
  found.sort((a, b) => (a.decision.time < b.decision.time ? 1 : -1));
  return { found, asked, silent };
}

/** No socket, or one that was left behind. */
function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED');
}

async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const namespace of await foldersIn(folder)) {
    for (const name of await foldersIn(join(folder, namespace))) names.push(`${namespace}/${name}`);
  }
  return names;
}

async function foldersIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).toSorted();
  } catch (error) {
    const unreadable = error instanceof Error && 'code' in error && error.code !== 'ENOENT';
    if (unreadable) throw new SealwrightError('argument_invalid', { argument: folder, reason: reasonOf(error) });
    return [];
  }
}

/** The answer of a sidecar of this version: both ends are one package, on one machine, of one owner. */
function ask(socketPath: string, id: string): Promise<readonly DecisionReport[]> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath, path: `/decisions?id=${encodeURIComponent(id)}`, timeout: TIMEOUT },
      (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > LARGEST_ANSWER) call.destroy(new Error('the answer is too large'));
          else chunks.push(chunk);
        });
        answer.once('error', reject);
        answer.once('end', () => {
          try {
            const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
            if (answer.statusCode === 200 && isReports(value)) resolve(value);
            else reject(new Error(`it answered with status ${answer.statusCode}`));
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        });
      },
    );
    call.once('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT / 1000} s`)));
    call.once('error', reject);
    call.end();
  });
}

function isReports(value: unknown): value is readonly DecisionReport[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'object' && item !== null && 'verdict' in item);
}

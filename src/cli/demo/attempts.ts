import { makeCall, type Call, type CallOutcome } from './call.ts';
import type { LogLine } from './child-process.ts';
import { decisionOf, Explainer, type AskedCall, type Decision } from './decision.ts';
import { callDirectly, callThroughSidecar, MESH_SETTINGS, type Member, type Mesh } from './mesh.ts';
import { createOutsiders } from './outsiders.ts';
import type { DemoService } from './topology.ts';

/** Who may call whom by the samples; everything else is to be refused. What really happens is found out by calling. */
const ALLOWED: ReadonlySet<string> = new Set([
  'shop/frontend -> shop/catalog GET /products',
  'shop/catalog -> shop/orders GET /orders',
  'shop/orders -> data/stock',
]);

/** Calls beyond the plain one of everybody to everybody: there, method and path decide. */
const MORE: readonly { from: string; to: string; method: string; path: string }[] = [
  { from: 'shop/frontend', to: 'shop/catalog', method: 'POST', path: '/products' },
  { from: 'shop/frontend', to: 'shop/catalog', method: 'GET', path: '/internal' },
  { from: 'shop/frontend', to: 'shop/catalog', method: 'DELETE', path: '/products' },
  { from: 'shop/catalog', to: 'shop/orders', method: 'DELETE', path: '/orders' },
];

/** A call that was made, what came of it, and why. */
export interface Attempt {
  readonly caller: string;
  readonly to: DemoService;
  readonly request: string;
  /** As the caller saw it. */
  readonly outcome: CallOutcome;
  readonly allowed: boolean;
  readonly decision: Decision;
  /** Whether it came out as the samples mean it. */
  readonly asMeant: boolean;
  /** Whether `policy explain` says of this call what really happened. */
  readonly explained: boolean;
}

/** Has everybody call everybody. */
export async function callEverybody(
  mesh: Mesh,
  now: number,
): Promise<{ matrix: readonly Attempt[]; more: readonly Attempt[] }> {
  const explainer = await Explainer.open(mesh.resources, MESH_SETTINGS);
  const attempt = createAttempt(explainer);
  const matrix: Judging[] = [];
  for (const from of mesh.members) {
    for (const to of mesh.members) if (to !== from) matrix.push(await attempt.inside(from, to));
  }
  for (const outsider of await createOutsiders(now)) {
    for (const to of mesh.members) {
      const call = callDirectly(to.address, to.service);
      matrix.push(await attempt.outside(outsider.name, to, () => makeCall(call, outsider.connect)));
    }
  }
  const more: Judging[] = [];
  for (const { from, to, method, path } of MORE) {
    const [caller, called] = [from, to].map((name) => mesh.members.find(({ service }) => service.workload === name));
    if (caller !== undefined && called !== undefined) more.push(await attempt.inside(caller, called, { method, path }));
  }
  return { matrix: await judged(matrix), more: await judged(more) };
}

/** A call that was made; what the sidecar says of it comes a moment later, since it writes many lines at once. */
type Judging = () => Promise<Attempt>;

const judged = (attempts: readonly Judging[]): Promise<Attempt[]> => Promise.all(attempts.map((judge) => judge()));

function createAttempt(explainer: Explainer) {
  return {
    inside: async (from: Member, to: Member, asked: { method?: string; path?: string } = {}): Promise<Judging> => {
      const call = callThroughSidecar(from.address, to.service, asked);
      const { identity } = from.service;
      const { method, path } = requestOf(call);
      return callAndJudge({
        explainer,
        caller: from.service.workload,
        asked: { from: identity, to: to.service, method, path },
        to,
        make: () => from.application.call(call),
        isIts: (line) =>
          line['source_principal'] === identity &&
          String(line['upstream_cluster']).startsWith('inbound|') &&
          (call.kind === 'stock' || (line['method'] === method && line['path'] === path)),
      });
    },
    outside: async (caller: string, to: Member, make: () => Promise<CallOutcome>): Promise<Judging> => {
      const { path } = to.service;
      const asked: AskedCall = { from: undefined, to: to.service, method: 'GET', path };
      const isIts = (line: LogLine, { local }: CallOutcome): boolean => line['downstream_remote_address'] === local;
      return callAndJudge({ explainer, caller, asked, to, make, isIts });
    },
  };
}

async function callAndJudge(parts: {
  readonly explainer: Explainer;
  readonly caller: string;
  readonly asked: AskedCall;
  readonly to: Member;
  readonly make: () => Promise<CallOutcome>;
  /** Whether a line of the called sidecar's access log is about this call. */
  readonly isIts: (line: LogLine, outcome: CallOutcome) => boolean;
}): Promise<Judging> {
  const { explainer, caller, asked, to, make, isIts } = parts;
  const { lines } = to.sidecar;
  const from = lines.length;
  const outcome = await make();
  const allowed = outcome.status === 200 || outcome.status === 0;
  return async () => {
    const said = allowed
      ? undefined
      : await to.sidecar.line((line) => isIts(line, outcome), { from, patience: 3_000 }).catch(() => undefined);
    const explained = explainer.explain(asked);
    const request = to.service.protocol === 'tcp' ? '' : ` ${asked.method} ${asked.path}`;
    const meant = ALLOWED.has(`${caller} -> ${to.service.workload}${request}`);
    return {
      caller,
      to: to.service,
      request: request.trim(),
      outcome,
      allowed,
      decision: decisionOf(outcome, said, explained),
      asMeant: allowed === meant && (allowed || said !== undefined),
      explained: explained.allowed === allowed,
    };
  };
}

function requestOf(call: Call): { method: string; path: string } {
  return call.kind === 'http' ? { method: call.method, path: call.path } : { method: '', path: '' };
}

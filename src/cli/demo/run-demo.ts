import { renderDistance } from '../render/time.ts';
import { callEverybody } from './attempts.ts';
import { tryTheCa } from './ca-refusals.ts';
import type { DemoProcesses } from './demo-processes.ts';
import { metricsUrl, readEdges } from './edges.ts';
import { issuedIdentities } from './identities.ts';
import type { LoadResult } from './load.ts';
import type { Mesh } from './mesh.ts';
import { editPolicy, SECRET_POLICY } from './policy-edit.ts';
import { ENOUGH, rotateUnderLoad } from './rotation.ts';
import type { Cell, Screen } from './screen.ts';
import { showMatrix } from './show-attempts.ts';
import { startMesh } from './start-mesh.ts';
import type { Placement } from './topology.ts';

export interface DemoOptions {
  readonly processes: DemoProcesses;
  readonly placement: Placement;
  /** The folder of the samples. */
  readonly samples: string;
  readonly screen: Screen;
  /** Milliseconds for which a certificate of a sidecar is valid. */
  readonly certificateLifetime: number;
  /** Wall milliseconds. */
  readonly now: () => number;
}

/** What came of a demo. */
export interface DemoResult {
  readonly mesh: Mesh;
  /** Outcomes that were checked, and those of them that are not as they must be. */
  readonly checked: number;
  readonly wrong: readonly string[];
}

/** Collects what is checked on the way. */
class Checks {
  checked = 0;
  readonly wrong: string[] = [];

  /** Says whether it is good, in a cell. */
  cell(good: boolean, what: string, text: string): Cell {
    this.checked += 1;
    if (!good) this.wrong.push(what);
    return { text, tone: good ? 'good' : 'bad' };
  }
}

/** The story of the demo, in the order in which it is told. Nothing in it is known beforehand but what must come out. */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { screen, processes, now } = options;
  const checks = new Checks();
  screen.heading('A certificate authority, and four services, each behind a sidecar of its own');
  const mesh = await startMesh(options);
  screen.line(`  The CA of the trust domain cluster.local listens on localhost:${processes.caPort}.`);
  await showIdentities(mesh, { ...options, checks });

  screen.heading('Who may call whom');
  screen.line('  Every application calls every other one by its sidecar; and three outsiders try it directly.');
  screen.line();
  const { matrix, more } = await callEverybody(mesh, now());
  showMatrix(screen, matrix, more);
  for (const { asMeant, explained, caller, to, request } of [...matrix, ...more]) {
    const what = `${caller} -> ${to.workload} ${request}`.trimEnd();
    checks.cell(asMeant, what, '');
    checks.cell(explained, `what policy explain says of ${what}`, '');
  }

  await showPolicyEdit(mesh, { screen, checks });
  await showRotation(mesh, { ...options, checks });
  await showMetrics(mesh, { screen, checks });
  await showCa(mesh, { ...options, checks });

  screen.heading(checks.wrong.length === 0 ? 'All is as it must be' : 'NOT all is as it must be');
  screen.line(`  ${checks.checked} outcomes checked, ${checks.wrong.length} wrong, in ${screen.elapsed.toFixed(1)} s.`);
  for (const what of checks.wrong) screen.line({ text: `  wrong: ${what}`, tone: 'bad' });
  return { mesh, checked: checks.checked, wrong: checks.wrong };
}

interface Shown {
  readonly screen: Screen;
  readonly checks: Checks;
}

async function showIdentities(mesh: Mesh, { screen, checks, now }: Shown & DemoOptions): Promise<void> {
  screen.heading('Identities, issued for service account tokens');
  const identities = await issuedIdentities(mesh);
  screen.table(
    ['WORKLOAD', 'ADDRESS', 'IDENTITY', 'EXPIRES', 'SERIAL'],
    identities.map(({ workload, address, identity, notAfter, serial, shown }) => [
      workload,
      address,
      identity,
      renderDistance(notAfter, now()),
      checks.cell(shown, `the certificate of ${workload}`, `${serial.slice(0, 12)}…${shown ? '' : ' IS NOT SHOWN'}`),
    ]),
  );
}

async function showPolicyEdit(mesh: Mesh, { screen, checks }: Shown): Promise<void> {
  const [frontend, catalog] = mesh.members;
  if (frontend === undefined || catalog === undefined) return;
  screen.heading('A policy is written while all runs');
  for (const line of SECRET_POLICY.trimEnd().split('\n')) screen.line({ text: `  | ${line}`, tone: 'dim' });
  screen.line();
  const { before, after, others, took, calls, detail } = await editPolicy(mesh, frontend, catalog);
  const named = detail.includes('policy[deny-secret]');
  screen.table(
    ['shop/frontend -> shop/catalog', 'BEFORE', 'AFTER'],
    [
      [
        'GET /products/secret',
        checks.cell(before === 200, 'the secret before the edit', String(before)),
        checks.cell(after === 403 && named, 'the secret after the edit', String(after)),
      ],
      ['GET /products', '', checks.cell(others === 200, 'the rest after the edit', String(others))],
    ],
  );
  screen.line(`  In force ${Math.round(took)} ms after the file was written, at call ${calls}. The sidecar says:`);
  screen.line({ text: `  ${detail}`, tone: 'dim' });
}

async function showRotation(mesh: Mesh, { screen, checks, certificateLifetime }: Shown & DemoOptions): Promise<void> {
  screen.heading('Every certificate is replaced, under load');
  screen.line('  Calls go through all four without a break, until each has a new certificate: some seconds.');
  screen.line();
  const { requests, questions, certificates, took } = await rotateUnderLoad(mesh, certificateLifetime);
  screen.table(
    ['WORKLOAD', 'SERIAL BEFORE', 'SERIAL AFTER'],
    certificates.map(({ workload, before, after }) => [
      workload,
      `${before.slice(0, 16)}…`,
      checks.cell(before !== after, `a new certificate for ${workload}`, `${after.slice(0, 16)}…`),
    ]),
  );
  screen.line();
  const row = (what: string, { sent, failed, connections, dropped }: LoadResult): Cell[] => [
    what,
    checks.cell(sent >= ENOUGH, `only ${sent} ${what} in all that time, not ${ENOUGH}`, String(sent)),
    checks.cell(failed === 0, `${failed} ${what} failed`, String(failed)),
    String(connections),
    checks.cell(dropped === 0, `${dropped} connections of ${what} dropped`, String(dropped)),
  ];
  screen.table(
    ['', 'SENT', 'FAILED', 'CONNECTIONS', 'DROPPED'],
    [row('requests through all four sidecars', requests), row('questions over one TCP connection', questions)],
  );
  screen.line(
    `  in ${took.toFixed(1)} s; certificates here live for ${certificateLifetime / 1000} s, and are renewed at half of that.`,
  );
}

async function showMetrics(mesh: Mesh, { screen, checks }: Shown): Promise<void> {
  screen.heading('The same in the metrics, under the names that Grafana and Kiali know');
  const edges = await readEdges(mesh.members);
  screen.table(
    ['SOURCE', 'DESTINATION', 'CODE', 'SECURITY', 'COUNT'],
    edges
      .slice(0, 6)
      .map(({ source, destination, code, security, count }) => [
        source,
        destination,
        code,
        checks.cell(security === 'mutual_tls', `mTLS from ${source} to ${destination}`, security),
        String(count),
      ]),
  );
  checks.cell(edges.length >= 6, 'edges in the metrics', '');
  for (const member of mesh.members) screen.line({ text: `  ${metricsUrl(member)}`, tone: 'dim' });
}

async function showCa({ processes }: Mesh, { screen, checks, now }: Shown & DemoOptions): Promise<void> {
  screen.heading('What the CA refuses, and its ledger of all of it');
  const tried = await tryTheCa(processes, { now });
  screen.table(
    ['TRIED AS shop/catalog', 'ANSWER'],
    tried.map(({ what, expected, got }) => [
      what,
      checks.cell(got === expected, what, got === expected ? got : `${got}, NOT ${expected}`),
    ]),
  );
  const { verifyExport } = await import('../../../ca/ledger/verify-ledger.ts');
  const { problems, entries, kinds, heads } = await verifyExport(processes.operator.lines('/v1/ledger/export'));
  screen.line();
  screen.line(
    `  The ledger, recomputed: ${entries} entries, ${kinds.issuance} certificates, ${heads} signed heads, `,
    checks.cell(problems === 0, 'the ledger', `${String(problems)} problems`),
  );
}

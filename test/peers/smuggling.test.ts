import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '../fakes/folder.ts';
import { Received } from '../fakes/raw-peer.ts';
import { requireEnvoy } from '../fakes/running-envoy.ts';
import { BEHIND } from '../proxy/http1/corpus/message-case.ts';
import { ReadingOrigin } from '../proxy/http1/corpus/reading-origin.ts';
import { REQUEST_CASES } from '../proxy/http1/corpus/request-cases.ts';
import { readRequestsStrictly, readResponsesStrictly } from '../proxy/http1/corpus/strict-reading.ts';
import { envoy, nginx, nodeHttp, ours, requireNginx, type TriedProxy } from './smuggling-peers.ts';

/** Cases that are tried at once at each proxy, each with an origin of its own. */
const LANES = 8;
/** Milliseconds without a byte after which a case is over that was answered, and one that was not. */
const QUIET = 150;
const SILENT = 1_000;

/** What one proxy made of one case. */
interface Trial {
  /** Requests that arrived whole. */
  readonly whole: number;
  /** Whether an origin was left with the beginning of one. */
  readonly partial: boolean;
  /** Why what arrived can be read in two ways. */
  readonly ambiguous: string | undefined;
  /** Statuses that the client was given. */
  readonly statuses: readonly string[];
  readonly answers: Buffer;
  readonly methods: readonly string[];
}

const NO_EXTENSIONS =
  'Node wants a name in an extension and no escape in it; ours passes no extension on, so nobody can differ about it';
const NO_UPGRADE =
  'Envoy refuses to change to what it was not told of; ours takes the offer out (RFC 9110 7.8 lets it)';
const NO_HOST =
  'they are set to want a Host, or to write one of their own; HTTP/1.0 has none, and ours passes what it got on to the one application there is';
/**
 * Cases of which ours passes the first message on and a peer does not, and why that is right. A case that is not in here,
 * and one that is and need not be, fails.
 */
const FORWARDED_ALL_THE_SAME: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'HTTP/1.0 without Host': { 'node:http': NO_HOST, nginx: NO_HOST, envoy: NO_HOST },
  'OPTIONS *': { nginx: 'it serves paths alone; RFC 9112 3.2.4 has the star, and it goes on as a star' },
  TRACE: { nginx: 'it never serves TRACE; which methods an application takes is for policy to say' },
  'a method with a hyphen': { envoy: 'it knows a list of methods; those with a hyphen are registered ones (RFC 3744)' },
  'a target with a fragment, for path normalization to cut': {
    envoy: 'Istio switches that refusal off; path normalization cuts the fragment before policy judges',
  },
  'a target with an escaped NUL, for path normalization to judge': {
    nginx: 'the engine decodes nothing; path normalization refuses it on the inbound side',
  },
  'an empty chunk extension': { 'node:http': NO_EXTENSIONS },
  'chunk extensions, left out': { 'node:http': NO_EXTENSIONS },
  'a list of upgrades, left out': { envoy: NO_UPGRADE },
  'the offer of TLS, left out': { envoy: NO_UPGRADE },
  'two Upgrades, left out': { envoy: NO_UPGRADE },
};

describe('the smuggling corpus, at our engine and at its peers', function () {
  this.timeout(180_000);
  const trials = new Map<string, Map<string, Trial>>();

  before(async function () {
    const programs = { nginx: requireNginx(this), envoy: requireEnvoy(this) };
    const folder = temporaryFolder(this);
    const starts = [
      ours,
      nodeHttp,
      (ports: readonly number[]) => nginx(programs.nginx, folder, ports),
      (ports: readonly number[]) => envoy(programs.envoy, folder, ports),
    ];
    await Promise.all(
      starts.map(async (start) => {
        const origins = await Promise.all(Array.from({ length: LANES }, () => ReadingOrigin.listen()));
        const proxy = await start(origins.map(({ port }) => port));
        try {
          trials.set(proxy.name, await tryAll(proxy, origins));
        } finally {
          await proxy.stop();
          for (const origin of origins) await origin.close();
        }
      }),
    );
    if (process.env['CI'] !== undefined || process.env['SMUGGLING_TABLE'] !== undefined) printTable(trials);
  });

  const at = (proxy: string, name: string): Trial => {
    const trial = trials.get(proxy)?.get(name);
    assert.ok(trial !== undefined, `${proxy}: ${name}`);
    return trial;
  };

  it('lets nothing through ours that could be read in two ways (invariant 5)', () => {
    const ambiguous = REQUEST_CASES.map(({ name }) => [name, at('sealwright', name).ambiguous]).filter(
      ([, why]) => why,
    );
    assert.deepEqual(ambiguous, []);
    // The same look finds it where it is: a check that nothing ever fails would show nothing.
    const peers = ['node:http', 'nginx', 'envoy'].flatMap((proxy) =>
      REQUEST_CASES.filter(({ name }) => at(proxy, name).ambiguous !== undefined),
    );
    assert.ok(peers.length > 0);
  });

  it('gives our clients one answer to each request, and none that could be read in two ways', () => {
    for (const { name } of REQUEST_CASES) {
      const { answers, methods, whole, partial, statuses } = at('sealwright', name);
      const read = readResponsesStrictly(answers, [...methods, 'GET'], true);
      assert.equal(read.ambiguous, undefined, name);
      assert.equal(read.partial, false, name);
      const refused = statuses.filter((status) => status !== '200').length;
      assert.equal(statuses.length, whole + refused, name);
      assert.ok(refused <= 1, name);
      assert.ok(!partial || refused === 1, name);
    }
  });

  it('passes on what a peer refuses only where that is said and reasoned', () => {
    const found: Record<string, Record<string, string>> = {};
    for (const { name } of REQUEST_CASES) {
      if (at('sealwright', name).whole === 0) continue;
      for (const peer of ['node:http', 'nginx', 'envoy']) {
        if (at(peer, name).whole > 0 || at(peer, name).statuses.length === 0) continue;
        (found[name] ??= {})[peer] = FORWARDED_ALL_THE_SAME[name]?.[peer] ?? 'NO REASON GIVEN';
      }
    }
    assert.deepEqual(found, FORWARDED_ALL_THE_SAME);
  });
});

/** Takes every case through one proxy, `LANES` at a time. */
async function tryAll(proxy: TriedProxy, origins: readonly ReadingOrigin[]): Promise<Map<string, Trial>> {
  const left = [...REQUEST_CASES];
  const trials = new Map<string, Trial>();
  await Promise.all(
    origins.map(async (origin, lane) => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        trials.set(next.name, await tryOne(proxy.ports[lane] ?? 0, origin, next.send + BEHIND));
      }
    }),
  );
  return trials;
}

async function tryOne(port: number, origin: ReadingOrigin, send: string): Promise<Trial> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const received = new Received(socket);
  await once(socket, 'connect');
  const started = performance.now();
  let moved = started;
  socket.on('data', () => (moved = performance.now()));
  socket.write(Buffer.from(send, 'latin1'));
  for (;;) {
    const quiet = performance.now() - Math.max(moved, origin.moved, started);
    if (received.closed || quiet > (received.length > 0 ? QUIET : SILENT)) break;
    await sleep(5);
  }
  socket.destroy();
  // What is under way to the origin still counts.
  await sleep(15);
  const readings = origin.take().connections.map((bytes) => readRequestsStrictly(bytes));
  const messages = readings.flatMap((reading) => reading.messages);
  return {
    whole: messages.length,
    partial: readings.some(({ partial }) => partial),
    ambiguous: readings.map(({ ambiguous }) => ambiguous).find((why) => why !== undefined),
    statuses: Array.from(received.text.matchAll(/HTTP\/1\.[01] (\d\d\d)/g), ([, status = '']) => status),
    answers: received.bytes,
    methods: messages.map(({ startLine }) => startLine.split(' ')[0] ?? ''),
  };
}

function verdict({ whole, partial, ambiguous, statuses }: Trial): string {
  if (ambiguous !== undefined) return 'AMBIGUOUS';
  const refusal = statuses.find((status) => status !== '200') ?? (statuses.length === 0 ? 'none' : '');
  if (whole > 0) return refusal === '' || refusal === 'none' ? `passes ${whole}` : `passes ${whole}, ${refusal}`;
  return partial ? `breaks off ${refusal}` : `refuses ${refusal}`;
}

function printTable(trials: ReadonlyMap<string, ReadonlyMap<string, Trial>>): void {
  const peers = ['sealwright', 'node:http', 'nginx', 'envoy'];
  const widest = Math.max(...REQUEST_CASES.map(({ name }) => name.length));
  const row = (name: string, cells: readonly string[]): string =>
    `    ${name.padEnd(widest)}  ${cells.map((cell) => cell.padEnd(18)).join('')}`.trimEnd();
  const lines = REQUEST_CASES.map(({ name }) =>
    row(
      name,
      peers.map((peer) => {
        const trial = trials.get(peer)?.get(name);
        return trial === undefined ? '?' : verdict(trial);
      }),
    ),
  );
  console.log([row('case', peers), ...lines].join('\n'));
}

import { strict as assert } from 'node:assert';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { temporaryFolder } from '../fakes/folder.ts';
import { TestMesh } from '../fakes/mesh-certificates.ts';
import { tokenAsker, type TokenAnswer } from '../proxy/authorize/ask-tokens.ts';
import { RULE_SETS, tokenCalls } from '../proxy/authorize/token-calls.ts';
import { sidecarConfig, TestConfig, workload } from '../proxy/sidecar-world.ts';
import { requireEnvoy } from '../fakes/running-envoy.ts';
import { JwtEnvoy, type JwtAnswer } from './jwt-envoy.ts';

/** What Envoy itself adds to a request, and what only tells rule sets apart. */
const ENVOYS_OWN = new Set([
  'host',
  'x-set',
  'x-forwarded-proto',
  'x-request-id',
  'x-envoy-expected-rq-timeout-ms',
  'content-length',
  'connection',
]);

type Comparable = Readonly<Record<string, unknown>> & { readonly status: number };

/**
 * Where the application might read another token than the one that was verified: ours is taken for one as well, so it
 * has to be good, and does not stay. The call, our status and Envoy's.
 */
const DIFFERENT: readonly (readonly [call: string, ours: number, theirs: number])[] = [
  ['plain: bearer in lower case', 200, 200],
  ['places: a cookie twice', 401, 200],
];

function comparable(answer: JwtAnswer | TokenAnswer): Comparable {
  const { status, body, details, challenge, path, received } = answer;
  return {
    status,
    body,
    details,
    // Ours never names the query, where a token may stand.
    challenge: challenge?.replace(/\?[^"]*?(?=", error|"$)/, ''),
    // Envoy writes the rest of a query anew where it takes a token out of it, and we keep its bytes.
    path,
    received: Object.fromEntries(Object.entries(received ?? {}).filter(([name]) => !ENVOYS_OWN.has(name))),
  };
}

describe('tokens of requests, as a real Envoy judges them', function () {
  this.timeout(60_000);
  let envoy: JwtEnvoy;
  let rootsPem: string;
  const names = Object.keys(RULE_SETS) as (keyof typeof RULE_SETS)[];

  before(async function () {
    const program = requireEnvoy(this);
    rootsPem = (await TestMesh.create()).rootPem;
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address() as AddressInfo;
    free.close();
    await once(free, 'close');
    envoy = await JwtEnvoy.start(program, {
      folder: temporaryFolder(this),
      sets: names.map((name) => RULE_SETS[name]),
      port,
    });
  });

  after(() => envoy?.stop());

  it('are answered and passed on by us in the same way', async () => {
    const own = workload({ name: 'catalog' });
    const clock = { now: () => Date.now() };
    const askers = new Map(
      names.map((name) => {
        const authentications = { tokens: { jwtRules: RULE_SETS[name] } };
        const config = new TestConfig(sidecarConfig({ workload: own, rootsPem, authentications }));
        return [name, tokenAsker(config, { clock })];
      }),
    );
    const calls = tokenCalls(Date.now());
    assert.ok(calls.length > 100);
    const different: { call: string; ours: Comparable; theirs: Comparable }[] = [];
    for (const call of calls) {
      const theirs = comparable(await envoy.ask(names.indexOf(call.set), call));
      const ours = comparable((await askers.get(call.set)?.(call)) as TokenAnswer);
      try {
        assert.deepEqual(ours, theirs);
      } catch {
        different.push({ call: call.name, ours, theirs });
      }
    }
    assert.deepEqual(
      different.map(({ call, ours, theirs }) => [call, ours.status, theirs.status]),
      DIFFERENT,
      JSON.stringify(different),
    );
  });
});

import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { stringifyYaml } from '../../src/config/stringify-yaml.ts';
import { compilePolicies } from '../../src/policy/compile-policies.ts';
import { effectiveMtlsMode } from '../../src/policy/effective-mtls-mode.ts';
import { tokenRulesFor } from '../../src/policy/request-authentication.ts';
import { FolderStore } from '../../src/resources/folder-store.ts';
import {
  policyValidators,
  readAuthorizationPolicy,
  readPeerAuthentication,
  readRequestAuthentication,
} from '../../src/resources/policy-resource.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { FakeClock } from '../fakes/clock.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { FUZZ_ROUNDS, tellCounts } from '../fakes/fuzz-rounds.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { mutationsOf } from '../fakes/mutations.ts';
import { connection, request } from '../policy/facts.ts';

const NAMESPACE = 'shop';
const SCOPE = { workload: { namespace: NAMESPACE, labels: { app: 'web' } }, rootNamespace: 'root' };
const LABELS = { matchLabels: { app: 'web' } };

/** One of each kind and action, with as many fields as go together. Without any of these all would be allowed. */
const SOUND: readonly Record<string, unknown>[] = [
  document('AuthorizationPolicy', 'allow', {
    selector: LABELS,
    rules: [
      {
        from: [
          { source: { principals: ['*/sa/front'], notNamespaces: ['bank'], ipBlocks: ['10.0.0.0/8'] } },
          { source: { serviceAccounts: ['shop/web'], notTrustDomains: ['other'] } },
        ],
        to: [{ operation: { hosts: ['*.example'], notPorts: ['9000'], methods: ['GET'], paths: ['/a/{*}/{**}'] } }],
        when: [
          { key: 'request.headers[x-team]', values: ['blue'], notValues: ['red*'] },
          { key: 'request.auth.claims[groups]', values: ['staff'] },
        ],
      },
    ],
  }),
  document('AuthorizationPolicy', 'deny', { action: 'DENY', rules: [{ to: [{ operation: { paths: ['*'] } }] }] }),
  document('AuthorizationPolicy', 'ask', {
    action: 'CUSTOM',
    provider: { name: 'ext' },
    rules: [{ to: [{ operation: { notMethods: ['GET'] } }] }],
  }),
  document('PeerAuthentication', 'strict', {
    selector: LABELS,
    mtls: { mode: 'STRICT' },
    portLevelMtls: { 8080: { mode: 'STRICT' } },
  }),
  document('RequestAuthentication', 'tokens', {
    selector: LABELS,
    jwtRules: [
      {
        issuer: 'https://issuer',
        audiences: ['shop'],
        jwksUri: 'https://issuer/keys',
        fromHeaders: [{ name: 'x-token', prefix: 'Bearer ' }],
        outputClaimToHeaders: [{ header: 'x-user', claim: 'sub' }],
        timeout: '5s',
      },
    ],
  }),
];

function document(kind: string, name: string, spec: object): Record<string, unknown> {
  return { apiVersion: 'security.istio.io/v1', kind, metadata: { name, namespace: NAMESPACE }, spec };
}

type Path = readonly (string | number)[];

/** Where something stands below a value; lists, objects and what is in them. */
function pathsIn(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, item]) => pathsIn(item, [...at, key]))];
}

function withReplaced(value: unknown, [key, ...rest]: Path, by: unknown): unknown {
  if (key === undefined) return by;
  if (Array.isArray(value)) return value.with(Number(key), withReplaced(value[Number(key)], rest, by));
  return { ...(value as object), [key]: withReplaced((value as Record<string, unknown>)[key], rest, by) };
}

/** Everything that a sidecar makes of resources, in one text: whoever is allowed what, which modes, which tokens. */
function effectOf(snapshot: ResourceSnapshot): string {
  const policies = snapshot.list('AuthorizationPolicy').flatMap((each) => readAuthorizationPolicy(each).policy ?? []);
  const modes = snapshot.list('PeerAuthentication').flatMap((each) => readPeerAuthentication(each).policy ?? []);
  const tokens = snapshot.list('RequestAuthentication').flatMap((each) => readRequestAuthentication(each).policy ?? []);
  const verdicts = (['http', 'tcp'] as const).flatMap((protocol) => {
    const trustDomains = { trustDomain: 'cluster.local', aliases: ['old'] };
    const compiled = compilePolicies({ ...SCOPE, policies, protocol, trustDomains });
    return CALLERS.flatMap((caller) => {
      const bound = compiled.forConnection(caller);
      return REQUESTS.map((asked) => {
        const verdict = bound.decide(asked);
        const explained = compiled.explain(caller, protocol === 'tcp' ? undefined : asked);
        assert.equal(explained.verdict, verdict);
        return [verdict.allow, verdict.reason, bound.toAsk(protocol === 'tcp' ? undefined : asked).length];
      });
    });
  });
  const mode = effectiveMtlsMode({ policies: modes, ...SCOPE, port: 8080 }).mode;
  return JSON.stringify([verdicts, mode, tokenRulesFor(tokens, SCOPE)]);
}

const CALLERS = [connection(), connection({ principal: 'cluster.local/ns/shop/sa/front', sni: 'a.example' })];
const REQUESTS = [
  request(),
  request({
    path: '/a/b/c',
    host: 'a.example',
    headers: { 'x-team': ['blue', 'x'] },
    jwt: { claims: { iss: 'https://issuer', sub: 'ann', groups: ['staff'] } },
  }),
  request({ method: 'POST', path: '/' }),
];

/** What stands for nothing that any field below a spec takes. */
const NONSENSE: readonly unknown[] = [{ unexpected: [[1]] }, [[{ a: [1] }]], [true, { b: 1 }]];

const TYPES = ['', '!!binary ', '&a ', '*a ', '!!set ', '? '];

describe('a resource, however it is broken', function () {
  this.timeout(20_000 + FUZZ_ROUNDS * 20_000);
  let folder: string;
  let store: FolderStore;
  let before: string;
  const sound = SOUND.map(stringifyYaml).join('---\n');

  beforeEach(async function () {
    folder = temporaryFolder(this);
    writeFileSync(join(folder, 'all.yaml'), sound);
    const validators = policyValidators({ rootNamespace: SCOPE.rootNamespace, strayRoot: 'error' });
    store = await FolderStore.open({
      folder,
      clock: new FakeClock(),
      logger: new RecordingLogger(),
      validators,
      settle: 0,
    });
    assert.deepEqual(
      store.issues.filter(({ severity }) => severity === 'error'),
      [],
    );
    before = effectOf(store.snapshot);
  });

  afterEach(() => store.close());

  /** Whether it was refused, and then that everything is as it was (invariant 5). */
  const refused = async (content: string | Buffer): Promise<boolean> => {
    writeFileSync(join(folder, 'all.yaml'), sound);
    await store.refresh();
    writeFileSync(join(folder, 'all.yaml'), content);
    await store.refresh();
    const errors = store.issues.filter(({ severity }) => severity === 'error');
    for (const { message, remedy, file } of errors) assert.ok(message !== '' && remedy !== '' && file !== undefined);
    assert.ok(!errors.some(({ code }) => code === 'resource_check_failed'), JSON.stringify(errors));
    const after = effectOf(store.snapshot);
    if (errors.length > 0) assert.equal(after, before);
    return errors.length > 0;
  };

  it('in one of its fields, is refused by the name of that field, and the last good one stays (invariant 5)', async () => {
    const places = SOUND.flatMap((each, index) =>
      pathsIn(each['spec'], ['spec'])
        // Names of labels and of ports are anybody's, and so is a label of `unexpected`.
        .filter((path) => !path.includes('matchLabels') && !path.includes('portLevelMtls'))
        .map((path) => ({ index, path })),
    );
    assert.ok(places.length > 60);
    for (const [at, { index, path }] of places.entries()) {
      // One after the other in a short run, each at each place in a long one.
      for (const nonsense of FUZZ_ROUNDS > 1 ? NONSENSE : NONSENSE.slice(at % 3, (at % 3) + 1)) {
        const broken = SOUND.with(index, withReplaced(SOUND[index], path, nonsense) as Record<string, unknown>);
        const where = `${path.join('.')} of ${JSON.stringify(SOUND[index]?.['metadata'])} as ${JSON.stringify(nonsense)}`;
        assert.ok(await refused(broken.map(stringifyYaml).join('---\n')), where);
        const named = store.issues.filter(({ severity, path: at, line }) => {
          const first = String(path.find((key) => key !== 'spec') ?? 'spec');
          return severity === 'error' && at.startsWith('spec') && at.includes(first) && line !== undefined;
        });
        assert.ok(named.length > 0, `${where}: ${JSON.stringify(store.issues)}`);
      }
    }
  });

  it('in its values, changes nothing where it is refused, and never throws', async () => {
    let wrong = 0;
    let good = 0;
    const places = SOUND.flatMap((each, index) => pathsIn(each).map((path) => ({ index, path })));
    const drawn = fc.record({
      place: fc.constantFrom(...places),
      by: fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.string({ unit: 'binary' }), fc.constantFrom(null, '', '*', 0, -1)),
    });
    await fc.assert(
      fc.asyncProperty(drawn, async ({ place: { index, path }, by }) => {
        const broken = withReplaced(SOUND[index], path, by);
        if (
          await refused(
            SOUND.with(index, broken as Record<string, unknown>)
              .map(stringifyYaml)
              .join('---\n'),
          )
        )
          wrong += 1;
        else good += 1;
      }),
      { numRuns: 300 * FUZZ_ROUNDS },
    );
    assert.ok(wrong > 100 && good > 3, `${wrong} wrong, ${good} good`);
    tellCounts(`${wrong} refused, ${good} sound by chance`);
  });

  it('in its bytes, changes nothing where it is refused, and never throws', async () => {
    let wrong = 0;
    let good = 0;
    const bytes = fc.oneof(
      { weight: 4, arbitrary: mutationsOf(Buffer.from(sound)) },
      fc.uint8Array({ maxLength: 300 }).map((random) => Buffer.from(random)),
      fc
        .tuple(fc.nat({ max: sound.length }), fc.constantFrom(...TYPES, '[', '{', '\0', '\uFEFF', '- ', ': ', '\t'))
        .map(([at, text]) => Buffer.from(sound.slice(0, at) + text + sound.slice(at))),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (content) => {
        if (await refused(content)) wrong += 1;
        else good += 1;
      }),
      { numRuns: 250 * FUZZ_ROUNDS },
    );
    assert.ok(wrong > 100 && good > 3, `${wrong} wrong, ${good} good`);
    tellCounts(`${wrong} refused, ${good} sound by chance`);
  });
});

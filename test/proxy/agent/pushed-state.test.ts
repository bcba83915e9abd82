import { strict as assert } from 'node:assert';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HeldAddresses } from '../../../proxy/agent/held-addresses.ts';
import { PushedState } from '../../../proxy/agent/pushed-state.ts';
import type { SidecarConfig } from '../../../proxy/agent/sidecar-config.ts';
import { reasonOf } from '../../../src/core/errors.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { encodePem } from '../../../src/pki/pem.ts';
import { CONTROL_TYPES, ROOT_SECRET } from '../../../src/wire/control-types.ts';
import { ApplicationProtocol } from '../../../src/wire/message-type.ts';
import type { XdsResource } from '../../../src/wire/xds-message.ts';
import { makeCertificate } from '../../fakes/certificates.ts';
import { connection, request } from '../../policy/facts.ts';
import { eventually } from '../../fakes/eventually.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { pushedDocument, pushedRoots, pushedService, pushedWorkload, uidOf } from '../../fakes/pushed-resources.ts';

const {
  address,
  authorizationPolicy,
  peerAuthentication,
  requestAuthentication,
  keySet,
  sidecar,
  destinationRule,
  configMap,
  secret,
} = CONTROL_TYPES;
/** What a complete configuration needs besides workload and roots, all of which may be empty. */
const REST = [
  authorizationPolicy,
  peerAuthentication,
  requestAuthentication,
  keySet,
  sidecar,
  destinationRule,
  configMap,
];

const OWN = {
  name: 'catalog',
  addresses: ['127.0.1.2'],
  labels: { app: 'catalog' },
  ports: [{ port: 8080, name: 'http', protocol: ApplicationProtocol.HTTP1 }],
};
const deny = (name: string, rules: unknown = [{ to: [{ operation: { methods: ['DELETE'] } }] }]): XdsResource =>
  pushedDocument({ kind: 'AuthorizationPolicy', name, spec: { action: 'DENY', rules } });

type Pushed = readonly [changed: readonly XdsResource[], removed?: readonly string[]];

describe('what the control stream pushed', () => {
  let roots: string[];
  before(async () => {
    const made = await Promise.all(['O=one', 'O=two'].map((subject) => makeCertificate({ subject })));
    roots = made.map(({ certificate }) => encodePem('CERTIFICATE', certificate));
  });
  let state: PushedState;
  let told: SidecarConfig[];
  let logger: RecordingLogger;
  let pushedPem: string[];
  beforeEach(() => {
    [told, pushedPem, logger] = [[], [], new RecordingLogger()];
    state = new PushedState({
      uid: uidOf('catalog'),
      names: { trustDomain: parseTrustDomain('cluster.local'), rootNamespace: 'sealwright-system' },
      held: new HeldAddresses(),
      onAddresses: () => undefined,
      onRoots: (pem) => pushedPem.push(pem),
      onTaken: () => undefined,
      logger,
    });
    state.onChange((config) => told.push(config));
  });
  /** What is small is read and taken in one turn; policies may come into force behind it. */
  const push = (type: string, changed: readonly XdsResource[], removed: readonly string[] = []): string | undefined => {
    const owner = state.owner(type);
    try {
      const read = owner.read({ changed, removed, systemVersion: '1' });
      if (read instanceof Promise) return assert.fail('it is not read in one turn');
      owner.take([read])?.catch(() => undefined);
      return undefined;
    } catch (error) {
      return reasonOf(error);
    }
  };
  /** Answers once it was taken in, with a promise that is kept when it is in force. */
  const pushMany = async (resources: readonly XdsResource[]): Promise<{ inForce: Promise<void> }> => {
    const owner = state.owner(authorizationPolicy);
    const reads = [await owner.read({ changed: resources, removed: [], systemVersion: '1' })];
    return { inForce: Promise.resolve(owner.take(reads)) };
  };
  const good = (type: string, ...changed: XdsResource[]): void => assert.equal(push(type, changed), undefined);
  const complete = (): SidecarConfig => {
    good(address, pushedWorkload(OWN));
    good(secret, pushedRoots(roots[0] ?? ''));
    for (const type of REST) good(type);
    return config();
  };
  const config = (): SidecarConfig => state.current() ?? assert.fail('there is no configuration');

  it('is no configuration before the last part of it is known, so that nothing is served by half of it', () => {
    const pushes: [string, XdsResource[]][] = [
      [authorizationPolicy, [deny('d')]],
      [peerAuthentication, []],
      [requestAuthentication, []],
      [keySet, []],
      [sidecar, []],
      [destinationRule, []],
      [configMap, []],
      [secret, [pushedRoots(roots[0] ?? '')]],
    ];
    for (const [type, resources] of pushes) {
      good(type, ...resources);
      assert.equal(state.current(), undefined, type);
    }
    good(address, pushedWorkload(OWN));
    assert.equal(config().workload.uid, uidOf('catalog'));
    assert.equal(told.length, 1);
  });

  it('has a listener for each port of the workload where no Sidecar says otherwise', () => {
    const { inbound, outbound, outboundHosts, localAddress, outboundTrafficPolicy } = complete();
    assert.deepEqual(inbound, [
      {
        address: '127.0.1.2',
        port: 8080,
        name: 'http',
        protocol: 'http',
        mode: 'PERMISSIVE',
        endpoint: { kind: 'tcp', host: '127.0.0.1', port: 8080 },
        endpointAssumed: true,
      },
    ]);
    assert.deepEqual(outbound, []);
    assert.deepEqual(outboundHosts, [{ namespace: '*', host: '*', excluded: false }]);
    assert.equal(localAddress, '127.0.1.2');
    assert.equal(outboundTrafficPolicy, 'ALLOW_ANY');
  });

  it('takes listeners from the Sidecar', () => {
    complete();
    good(
      sidecar,
      pushedDocument({
        kind: 'Sidecar',
        name: 'catalog',
        spec: {
          ingress: [
            { port: { number: 9080, protocol: 'HTTP', name: 'http' }, defaultEndpoint: '127.0.0.1:8081' },
            { port: { number: 9081, protocol: 'TCP', name: 'db' }, defaultEndpoint: 'unix:///run/db.sock' },
            { port: { number: 9082, protocol: 'GRPC', name: 'g' }, bind: '127.0.1.3', defaultEndpoint: '0.0.0.0:7000' },
          ],
          egress: [
            { port: { number: 9090, protocol: 'HTTP', name: 'out' }, hosts: ['./prices.shop.internal'] },
            { port: { number: 5432, protocol: 'TCP', name: 'pg' }, bind: '127.0.0.1', hosts: ['data/pg.internal.net'] },
            { hosts: ['./*', 'sealwright-system/*'] },
          ],
          outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
        },
      }),
    );
    const { inbound, outbound, outboundHosts, outboundTrafficPolicy } = config();
    assert.deepEqual(
      inbound.map(({ address: at, port, protocol, endpoint }) => ({ at, port, protocol, endpoint })),
      [
        { at: '127.0.1.2', port: 9080, protocol: 'http', endpoint: { kind: 'tcp', host: '127.0.0.1', port: 8081 } },
        { at: '127.0.1.2', port: 9081, protocol: 'tcp', endpoint: { kind: 'unix', path: '/run/db.sock' } },
        { at: '127.0.1.3', port: 9082, protocol: 'http2', endpoint: { kind: 'tcp', host: '127.0.1.2', port: 7000 } },
      ],
    );
    // What is bound keeps its listener where all else is intercepted.
    assert.deepEqual(
      inbound.map(({ bound }) => bound),
      [false, false, true],
    );
    const own = { namespace: 'shop', excluded: false };
    assert.deepEqual(outbound, [
      {
        address: '127.0.1.2',
        port: 9090,
        name: 'out',
        protocol: 'http',
        hosts: [{ ...own, host: 'prices.shop.internal' }],
        bound: false,
      },
      {
        address: '127.0.0.1',
        port: 5432,
        name: 'pg',
        protocol: 'tcp',
        hosts: [{ namespace: 'data', host: 'pg.internal.net', excluded: false }],
        bound: true,
      },
    ]);
    assert.deepEqual(outboundHosts, [
      { ...own, host: '*' },
      { namespace: 'sealwright-system', host: '*', excluded: false },
    ]);
    assert.equal(outboundTrafficPolicy, 'REGISTRY_ONLY');
  });

  it('keeps what is for the application on loopback where the workload itself is not', () => {
    complete();
    good(address, pushedWorkload({ ...OWN, addresses: ['10.0.0.7'] }));
    assert.equal(config().localAddress, '127.0.0.1');
    assert.equal(config().inbound[0]?.address, '10.0.0.7');
  });

  it('gives each port the mode that PeerAuthentication says', () => {
    complete();
    good(
      peerAuthentication,
      pushedDocument({ kind: 'PeerAuthentication', name: 'default', spec: { mtls: { mode: 'STRICT' } } }),
      pushedDocument({
        kind: 'PeerAuthentication',
        name: 'catalog',
        spec: { selector: { matchLabels: { app: 'catalog' } }, portLevelMtls: { 7000: { mode: 'DISABLE' } } },
      }),
    );
    assert.equal(config().inbound[0]?.mode, 'STRICT');
    assert.equal(config().mtlsMode(7000), 'DISABLE');
    assert.equal(push(peerAuthentication, [], ['shop/default', 'shop/catalog']), undefined);
    assert.equal(config().mtlsMode(7000), 'PERMISSIVE');
  });

  it('compiles the policies that apply, and drops those that are gone', () => {
    complete();
    good(authorizationPolicy, deny('a'), deny('b'));
    assert.deepEqual(
      config().policies.http.applied.map(({ policy }) => policy.name),
      ['a', 'b'],
    );
    push(authorizationPolicy, [], ['shop/a']);
    assert.deepEqual(
      config().policies.tcp.applied.map(({ policy }) => policy.name),
      ['b'],
    );
  });

  describe('with more policies than one turn of the event loop may compile', () => {
    const many = Array.from({ length: 600 }, (_, index) => deny(`p${index}`));
    const names = (): number | undefined => state.current()?.policies.http.applied.length;

    it('keeps the last configuration in force until all are compiled, and then switches once', async () => {
      const before = complete();
      told.length = 0;
      let turns = 0;
      const pushed = pushMany(many);
      const count = async (): Promise<number> => {
        while (config() === before) {
          await nextTurn();
          turns += 1;
        }
        return turns;
      };
      const counted = count();
      const { inForce } = await pushed;
      assert.ok(turns >= 3, `read in ${turns} turns`);
      assert.equal(config(), before);
      const read = turns;
      await inForce;
      assert.deepEqual([names(), told.length], [600, 1]);
      assert.ok((await counted) >= read + 3, `compiled in ${turns - read} turns`);
    });

    it('takes in what comes meanwhile, and refuses at once what is wrong with it', async () => {
      complete();
      await pushMany(many);
      good(authorizationPolicy, deny('one-more'));
      assert.equal(push(authorizationPolicy, [], ['shop/p0']), undefined);
      assert.ok(push(authorizationPolicy, [{ ...deny('bad'), name: 'shop/other' }]));
      good(
        peerAuthentication,
        pushedDocument({ kind: 'PeerAuthentication', name: 'd', spec: { mtls: { mode: 'STRICT' } } }),
      );
      assert.equal(names(), 0);
      await eventually(() => names() === 600);
      assert.equal(config().inbound[0]?.mode, 'STRICT');
      const applied = config().policies.tcp.applied.map(({ policy }) => policy.name);
      assert.deepEqual([applied.includes('p0'), applied.includes('one-more')], [false, true]);
    });

    it('comes into force also where pushes go on all the time, each of them whole', async () => {
      complete();
      const at = (path: string): XdsResource[] =>
        many.slice(0, 300).map((_, index) => deny(`p${index}`, [{ to: [{ operation: { paths: [path] } }] }]));
      const pushes = [at('/a'), at('/b')];
      const inForce = (): string => {
        const values = config().policies.http.applied.flatMap(
          ({ policy }) => policy.rules[0]?.to[0]?.[0]?.values ?? [],
        );
        return [...new Set(values)].join();
      };
      const seen: string[] = [];
      for (let round = 0; round < 24; round += 1) {
        await pushMany(pushes[round % 2] ?? []);
        for (let turn = 0; turn < 2; turn += 1) await nextTurn();
        if (inForce() !== seen.at(-1)) seen.push(inForce());
      }
      assert.ok(seen.length >= 3, `of 24 pushes came into force: ${seen.join(' ')}`);
      assert.deepEqual([...new Set(seen)].sort(), ['', '/a', '/b']);
    });

    it('holds up nothing but policies: a mode is in force at once (invariant 4)', async () => {
      complete();
      await pushMany(many);
      assert.equal(names(), 0);
      good(
        peerAuthentication,
        pushedDocument({ kind: 'PeerAuthentication', name: 'strict', spec: { mtls: { mode: 'STRICT' } } }),
      );
      assert.equal(config().mtlsMode(8080), 'STRICT');
      assert.equal(config().inbound[0]?.mode, 'STRICT');
      assert.equal(names(), 0);
    });

    describe('when the labels of the workload change, for which all are compiled anew', () => {
      const labelled = (version: string): XdsResource => pushedWorkload({ ...OWN, labels: { ...OWN.labels, version } });
      const strict = pushedDocument({ kind: 'PeerAuthentication', name: 's', spec: { mtls: { mode: 'STRICT' } } });
      beforeEach(async () => {
        complete();
        await (
          await pushMany(many)
        ).inForce;
      });

      it('holds up neither a mode nor a root (invariant 4)', async () => {
        const { policies, workload } = config();
        good(address, labelled('2'));
        good(peerAuthentication, strict);
        good(secret, pushedRoots(roots[1] ?? ''));
        assert.deepEqual([config().mtlsMode(8080), config().inbound[0]?.mode], ['STRICT', 'STRICT']);
        assert.equal(config().rootsPem, roots[1]);
        // What policies were compiled for stays with them.
        assert.deepEqual([config().policies === policies, config().workload === workload], [true, true]);
        await eventually(() => config().workload.labels['version'] === '2');
        assert.equal(config().policies.http.scope.workload.labels['version'], '2');
        assert.deepEqual([names(), config().mtlsMode(8080)], [600, 'STRICT']);
      });

      it('keeps what a name of the mesh was trusted for as long as policies do not know of another', async () => {
        const meshOf = (alias: string): XdsResource =>
          pushedDocument({
            kind: 'ConfigMap',
            namespace: 'sealwright-system',
            name: 'sealwright',
            data: { mesh: `trustDomainAliases: [${alias}]\n` },
          });
        good(configMap, meshOf('old.example.org'));
        const bundle = () => config().bundleOf(parseTrustDomain('old.example.org'));
        // Its callers could get past what is denied to them by the mesh's own name.
        assert.equal(bundle(), undefined);
        good(peerAuthentication, strict);
        assert.equal(bundle(), undefined);
        await eventually(() => bundle() !== undefined);
        assert.deepEqual(config().policies.tcp.scope.trustDomains.aliases, ['old.example.org']);
      });

      it('comes into force also where they change all the time, and so do the policies that are pushed', async () => {
        const seen = new Set<string>();
        const acknowledged: (number | undefined)[] = [];
        for (let round = 0; round < 400 && acknowledged.length === 0; round += 1) {
          good(address, labelled(String(round)));
          if (round === 20) {
            const { inForce } = await pushMany([...many.slice(0, 300), deny('one-more')].map((each) => ({ ...each })));
            void inForce.then(() => acknowledged.push(names()));
          }
          await nextTurn();
          seen.add(config().workload.labels['version'] ?? '');
        }
        assert.ok(seen.size >= 3, `in force were ${[...seen].join(' ')}`);
        assert.deepEqual(acknowledged, [601]);
      });
    });

    it('compiles no further where they are gone again, or nobody wants them', async () => {
      const before = complete();
      const { inForce } = await pushMany(many);
      assert.equal(
        push(
          authorizationPolicy,
          [],
          many.map(({ name }) => name),
        ),
        undefined,
      );
      assert.equal(names(), 0);
      // Nobody waits for ever for what is needless now.
      await inForce;
      const again = await pushMany(many);
      state.stop();
      await again.inForce;
      for (let turn = 0; turn < 50; turn += 1) await nextTurn();
      assert.equal(names(), 0);
      assert.equal(config().policies, before.policies);
    });
  });

  it('judges by exactly what is in force after any changes, removals and refused pushes', () => {
    complete();
    const denied = new Map<string, string>();
    const onPath = (name: string, path: string): XdsResource =>
      deny(name, [{ to: [{ operation: { paths: [path] } }] }]);
    for (let turn = 0; turn < 60; turn += 1) {
      const [one, other, gone] = [turn % 7, (turn * 3) % 11, (turn * 5) % 13].map((index) => `p${index}`) as [
        string,
        string,
        string,
      ];
      const changed = new Map(
        [one, other].filter((name) => name !== gone).map((name) => [name, `/${name}/${turn % 4}`]),
      );
      const resources = [...changed].map(([name, path]) => onPath(name, path));
      if (turn % 5 === 4) {
        assert.ok(push(authorizationPolicy, [...resources, { ...deny('bad'), name: 'shop/other' }], [`shop/${gone}`]));
      } else {
        assert.equal(push(authorizationPolicy, resources, [`shop/${gone}`]), undefined);
        denied.delete(gone);
        for (const [name, path] of changed) denied.set(name, path);
      }
      const bound = config().policies.http.forConnection(connection());
      const wanted = new Set(denied.values());
      for (let index = 0; index < 13; index += 1) {
        for (let part = 0; part < 4; part += 1) {
          const path = `/p${index}/${part}`;
          assert.equal(bound.decide(request({ path })).allow, !wanted.has(path), `${path} after ${turn}`);
        }
      }
    }
  });

  it('orders DestinationRules by their age, and keeps the list while none of them changes', () => {
    complete();
    const rule = (name: string, createdAt: number, spec: object = {}): XdsResource =>
      pushedDocument({ kind: 'DestinationRule', name, createdAt, spec: { host: 'catalog', ...spec } });
    good(destinationRule, rule('young', 2_000), rule('old', 1_000));
    const { destinationRules } = config();
    assert.deepEqual(
      destinationRules.map(({ name, creationTimestamp, rule: { host } }) => [name, creationTimestamp, host]),
      [
        ['old', 1_000, 'catalog.shop.svc.cluster.local'],
        ['young', 2_000, 'catalog.shop.svc.cluster.local'],
      ],
    );
    good(authorizationPolicy, deny('d'));
    assert.equal(config().destinationRules, destinationRules);
    assert.match(
      push(destinationRule, [rule('old', 1_000, { trafficPolicy: { tls: { mode: 'NONE' } } })]) ?? '',
      /tls\.mode/,
    );
    assert.equal(config().destinationRules, destinationRules, 'a bad push changes nothing (invariant 5)');
  });

  it('takes the mesh settings, and trusts the roots for the names that the mesh had before', () => {
    complete();
    const mesh = 'trustDomainAliases: [old.example]\npathNormalization: { normalization: MERGE_SLASHES }\n';
    good(
      configMap,
      pushedDocument({ kind: 'ConfigMap', name: 'sealwright', namespace: 'sealwright-system', data: { mesh } }),
    );
    assert.equal(config().mesh.pathNormalization, 'MERGE_SLASHES');
    assert.deepEqual(config().trustDomains, { trustDomain: 'cluster.local', aliases: ['old.example'] });
    const old = config().bundleOf(parseTrustDomain('old.example'));
    assert.equal(old?.trustDomain, 'old.example');
    assert.equal(old?.roots.length, 1);
    assert.equal(config().bundleOf(parseTrustDomain('elsewhere.example')), undefined);
  });

  it('keeps every object that did not change, so that what was made for it stays', () => {
    const before = complete();
    good(authorizationPolicy, deny('a'));
    const after = config();
    assert.notEqual(after, before);
    assert.ok(after.revision > before.revision);
    assert.equal(after.inbound[0], before.inbound[0]);
    assert.equal(after.outboundHosts, before.outboundHosts);
    assert.equal(after.bundleOf, before.bundleOf);
    assert.notEqual(after.policies, before.policies);
    good(secret, pushedRoots(roots.join('')));
    assert.equal(config().policies, after.policies);
    assert.notEqual(config().bundleOf, after.bundleOf);
    assert.deepEqual(pushedPem, [roots[0], roots.join('')]);
  });

  it('says nothing where nothing changed', () => {
    complete();
    const { length } = told;
    for (const type of REST) good(type);
    good(secret, pushedRoots(roots[0] ?? ''));
    good(address, pushedService({ hostname: 'prices.shop.internal' }));
    assert.equal(told.length, length);
  });

  const bad: [what: string, type: string, make: () => Pushed, reason: RegExp][] = [
    ['a policy with an unknown action', authorizationPolicy, () => [[badPolicy({ action: 'PERMIT' })]], /PERMIT/],
    ['a policy with an unknown field', authorizationPolicy, () => [[badPolicy({ acton: 'DENY' })]], /acton/],
    [
      'a good policy beside a bad one',
      authorizationPolicy,
      () => [[deny('good'), badPolicy({ action: 'PERMIT' })]],
      /PERMIT/,
    ],
    [
      'a policy under the name of another',
      authorizationPolicy,
      () => [
        [pushedDocument({ kind: 'AuthorizationPolicy', name: 'x', outside: 'shop/kept', spec: { action: 'ALLOW' } })],
      ],
      /is named shop\/x within/,
    ],
    [
      'another kind in its place',
      authorizationPolicy,
      () => [[pushedDocument({ kind: 'PeerAuthentication', name: 'kept' })]],
      /no AuthorizationPolicy/,
    ],
    [
      'bytes that are nothing',
      authorizationPolicy,
      () => [[{ ...deny('x'), body: { ...deny('x').body, value: Buffer.from('nonsense') } }]],
      /istio\.mcp\.v1alpha1\.Resource/,
    ],
    [
      'a mode that is none',
      peerAuthentication,
      () => [[pushedDocument({ kind: 'PeerAuthentication', name: 'x', spec: { mtls: { mode: 'STRIKT' } } })]],
      /STRIKT/,
    ],
    [
      'a second Sidecar',
      sidecar,
      () => [
        ['x', 'y'].map((name) => pushedDocument({ kind: 'Sidecar', name, spec: { egress: [{ hosts: ['./*'] }] } })),
      ],
      /more than one Sidecar/,
    ],
    [
      'a Sidecar whose application is the sidecar itself',
      sidecar,
      () => [
        [
          pushedDocument({
            kind: 'Sidecar',
            name: 'x',
            spec: {
              ingress: [{ port: { number: 9080, protocol: 'HTTP', name: 'h' }, defaultEndpoint: '0.0.0.0:9080' }],
            },
          }),
        ],
      ],
      /port of the sidecar itself/,
    ],
    [
      'a Sidecar that listens twice at one place',
      sidecar,
      () => [
        [
          pushedDocument({
            kind: 'Sidecar',
            name: 'x',
            spec: {
              ingress: [{ port: { number: 9080, protocol: 'HTTP', name: 'h' }, defaultEndpoint: '127.0.0.1:80' }],
              egress: [{ port: { number: 9080, protocol: 'HTTP', name: 'o' }, hosts: ['./*'] }],
            },
          }),
        ],
      ],
      /two listeners at 127\.0\.1\.2:9080/,
    ],
    [
      'mesh settings that are wrong',
      configMap,
      () => [[pushedDocument({ kind: 'ConfigMap', name: 'sealwright', data: { mesh: 'trustDomainAliases: 7' } })]],
      /trustDomainAliases/,
    ],
    ['a trust bundle without a root', secret, () => [[pushedRoots('')]], /no root certificate/],
    [
      'a trust bundle with half a root',
      secret,
      () => [[pushedRoots(`${roots[0] ?? ''}-----BEGIN CERTIFICATE-----\nMIIB\n`)]],
      /cut short/,
    ],
    ['the trust bundle being removed', secret, () => [[], [ROOT_SECRET]], /no trust bundle/],
    ['the own workload being removed', address, () => [[], [uidOf('catalog')]], /own workload is gone/],
    ['the own workload without an address', address, () => [[pushedWorkload({ name: 'catalog' })]], /no IP address/],
    [
      'a workload of an impossible trust domain',
      address,
      () => [[pushedWorkload({ ...OWN, name: 'prices', trustDomain: 'UPPER' })]],
      /trust domain/,
    ],
  ];
  const badPolicy = (spec: Record<string, unknown>): XdsResource =>
    pushedDocument({ kind: 'AuthorizationPolicy', name: 'x', spec });

  for (const [what, type, make, reason] of bad) {
    it(`is not changed by ${what}, which is refused with the reason (invariant 5)`, () => {
      complete();
      good(authorizationPolicy, deny('kept'));
      const before = config();
      const raw = [...state.raw(type)];
      const { length } = told;
      assert.match(push(type, ...make()) ?? assert.fail('it was taken in'), reason);
      assert.equal(config(), before);
      assert.deepEqual([...state.raw(type)], raw);
      assert.equal(told.length, length);
      assert.match(logger.text, /a push was refused/);
    });
  }

  it('reaches every listener, also where one of them fails', () => {
    state.onChange(() => {
      throw new Error('boom');
    });
    let reached = 0;
    state.onChange(() => (reached += 1));
    complete();
    assert.equal(reached, 1);
    assert.match(logger.text, /boom/);
  });
});

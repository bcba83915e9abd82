import { strict as assert } from 'node:assert';
import { keySetName, type KeyPlace } from '../../../src/policy/request-authentication.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { testKey } from '../../fakes/tokens.ts';
import { CONTROL_TYPES, LOOK_AGAIN } from '../../../src/wire/control-types.ts';
import { decodeObject } from '../../../src/wire/json-object.ts';
import { MCP_RESOURCE } from '../../../src/wire/message-type.ts';
import type { XdsResource } from '../../../src/wire/xds-message.ts';
import { createHubWith, JoinedSidecar } from './mesh.ts';

const { keySet, requestAuthentication } = CONTROL_TYPES;
const settle = () => new Promise((resolve) => setImmediate(resolve));
const NAME = 'jwks https://issuer.example.org/keys';

const entry = (name: string) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, namespace: shop}
spec: {address: 127.0.1.1, serviceAccount: ${name}, labels: {app: ${name}}}
`;
const authentication = (rule: string, app = 'catalog') => `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: ${app}, namespace: shop}
spec: {selector: {matchLabels: {app: ${app}}}, jwtRules: [${rule}]}
`;
const remote = '{issuer: "https://issuer.example.org", jwksUri: "https://issuer.example.org/keys"}';

function contentOf({ body }: XdsResource): unknown {
  const any = MCP_RESOURCE.decode(body).body ?? assert.fail();
  return decodeObject(any)['spec'];
}

describe('the keys of issuers on the control stream', () => {
  it('go to the workloads whose RequestAuthentication names them, once they are read, and to no others', async () => {
    const first = Promise.withResolvers<string>();
    const hub = createHubWith(
      { fetchKeySet: () => first.promise },
      entry('catalog'),
      entry('prices'),
      authentication(remote),
    );
    const sidecar = new JoinedSidecar(hub.distribution, keySet).subscribe(keySet, '*');
    const other = new JoinedSidecar(hub.distribution, keySet, { workload: 'shop/prices' }).subscribe(keySet, '*');
    assert.deepEqual(sidecar.names, []);
    first.resolve('{"keys":[]}');
    await settle();
    assert.deepEqual(sidecar.settle().names, [NAME]);
    assert.deepEqual(contentOf(sidecar.held.get(NAME) ?? assert.fail()), { keySet: '{"keys":[]}', looks: 0 });
    assert.deepEqual(other.settle().names, []);
    hub.store.set(entry('catalog'), entry('prices'));
    assert.deepEqual(sidecar.settle().names, []);
    hub.distribution.close();
  });

  it('are read for a namespace however many another one names', async () => {
    const rules = Array.from({ length: 1_200 }, (_, index) => `{issuer: "https://i${index}.example.org"}`).join();
    const greedy = `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: greedy, namespace: aaa}
spec: {jwtRules: [${rules}]}
`;
    const read: string[] = [];
    const fetchKeySet = (place: KeyPlace) => {
      read.push(keySetName(place) ?? 'inline');
      return Promise.resolve('{"keys":[]}');
    };
    const hub = createHubWith({ fetchKeySet }, greedy, entry('catalog'), authentication(remote));
    const sidecar = new JoinedSidecar(hub.distribution, keySet).subscribe(keySet, '*');
    for (let turn = 0; turn < 200; turn += 1) await settle();
    assert.deepEqual(sidecar.settle().names, [NAME]);
    assert.equal(read.length, 101);
    hub.distribution.close();
  });

  it('are looked at again for a sidecar that asks, which sees that they were; and for none that has no use for them', async () => {
    let fetched = 0;
    const fetchKeySet = () => {
      fetched += 1;
      return Promise.resolve('{"keys":[]}');
    };
    const texts = [entry('catalog'), entry('prices'), authentication(remote)];
    const hub = createHubWith({ fetchKeySet, clock: new FakeClock() }, ...texts);
    await settle();
    const other = new JoinedSidecar(hub.distribution, keySet, { workload: 'shop/prices' });
    other.subscribe(keySet, '*').subscribe(keySet, `${NAME}${LOOK_AGAIN}`);
    await settle();
    assert.equal(fetched, 1);
    const sidecar = new JoinedSidecar(hub.distribution, keySet).subscribe(keySet, '*');
    const { pushes } = sidecar;
    sidecar.subscribe(keySet, `${NAME}${LOOK_AGAIN}`);
    await settle();
    assert.equal(fetched, 2);
    sidecar.settle();
    assert.ok(sidecar.pushes > pushes);
    assert.deepEqual(contentOf(sidecar.held.get(NAME) ?? assert.fail()), { keySet: '{"keys":[]}', looks: 1 });
    // Three may ask in a row: one that is answered, and lets go, has asked once.
    for (const readings of [3, 4, 4]) {
      sidecar.unsubscribe(keySet, `${NAME}${LOOK_AGAIN}`).subscribe(keySet, `${NAME}${LOOK_AGAIN}`);
      await settle();
      sidecar.settle();
      assert.equal(fetched, readings);
    }
    hub.distribution.close();
  });

  it('that stand in a rule go out without what is private of them (invariant 2)', () => {
    const { privateKey } = testKey('issuer');
    const jwk = privateKey.export({ format: 'jwk' });
    const jwks = JSON.stringify({ keys: [jwk] });
    const hub = createHubWith({}, entry('catalog'), authentication(`{issuer: "https://a", jwks: '${jwks}'}`));
    const sidecar = new JoinedSidecar(hub.distribution, requestAuthentication).subscribe(requestAuthentication, '*');
    const pushed = JSON.stringify(contentOf(sidecar.held.get('shop/catalog') ?? assert.fail()));
    assert.ok(pushed.includes(jwk.n ?? '?'));
    for (const secret of [jwk.d, jwk.p, jwk.q, jwk.dp]) assert.ok(!pushed.includes(secret ?? '?'));
    hub.distribution.close();
  });
});

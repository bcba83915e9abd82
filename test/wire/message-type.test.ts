import { strict as assert } from 'node:assert';
import { ADDRESS, ApplicationProtocol, FACTS, MutualTls, REVOCATION } from '../../src/wire/message-type.ts';

describe('a message type', () => {
  it('carries facts in the extensions of an address that ztunnel can read', () => {
    const facts = FACTS.encode({
      labels: { app: 'web' },
      ports: [{ port: 8080, name: 'http', protocol: ApplicationProtocol.HTTP1 }],
      mutualTls: MutualTls.STRICT,
    });
    const workload = { uid: 'w1', extensions: [{ name: 'sealwright', config: facts }] };
    const bytes = ADDRESS.encode({ type: { case: 'workload', value: workload } });
    assert.equal(bytes.typeUrl, 'type.googleapis.com/istio.workload.Address');
    const { type } = ADDRESS.decode(bytes);
    assert.equal(type.case, 'workload');
    const config = type.case === 'workload' ? type.value.extensions[0]?.config : undefined;
    assert.ok(config !== undefined);
    const read = FACTS.decode(config);
    assert.deepEqual([read.labels, read.ports[0]?.port, read.mutualTls], [{ app: 'web' }, 8080, MutualTls.STRICT]);
  });

  it('reads neither another type nor bytes that are no message', () => {
    const other = REVOCATION.encode({ subject: { case: 'identity', value: 'spiffe://cluster.local/ns/a/sa/b' } });
    assert.throws(() => FACTS.decode(other), { code: 'response_unreadable' });
    const broken = { typeUrl: FACTS.typeUrl, value: Buffer.from([0x0a, 0xff]) };
    assert.throws(() => FACTS.decode(broken), { code: 'response_unreadable' });
  });
});

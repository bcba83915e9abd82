import { strict as assert } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Channel } from '../../src/wire/grpc-client.ts';
import { ecKeys } from '../fakes/certificate-maker.ts';
import { makeCsrPem } from '../fakes/csr-maker.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { createCertificate, type RunningCa } from '../fakes/running-ca.ts';
import { applyCrds } from './apply-crds.ts';
import { ledgered, startCaOn } from './ca-on-cluster.ts';
import { useCluster } from './cluster.ts';
import { until } from './until.ts';

interface Seen {
  readonly status: unknown;
  readonly said: unknown;
  readonly reason: unknown;
  readonly call: unknown;
}

async function refusal(call: Promise<unknown>): Promise<Seen> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof SealwrightError, String(error));
    const { status, message, reason, call: id } = error.fields;
    return { status, said: message, reason, call: id };
  }
  return assert.fail('it was issued');
}

describe('a node agent on a real API server (slow)', function () {
  const cluster = useCluster();
  let ca: RunningCa;
  let channel: Channel;
  let system: string;
  let shop: string;
  /** Tokens of the agents of two nodes. */
  let agentOne: string;
  let agentTwo: string;
  let accounts = 0;

  before('a CA that trusts ztunnel', async function () {
    this.timeout(90_000);
    await applyCrds(cluster());
    system = await cluster().namespace('mesh-system', ['ztunnel', 'second', 'third', 'fourth', 'other']);
    shop = await cluster().namespace('shop', ['web']);
    const on = await startCaOn(cluster(), temporaryFolder(this), {
      auth: { trustedNodeAccounts: ['ztunnel', 'second', 'third', 'fourth'].map((name) => `${system}/${name}`) },
      resources: 'readable',
    });
    ca = on.ca;
    channel = ca.channel();
    await ca.logged('the resources of the cluster were read');
    agentOne = await agentOf('ztunnel-1', 'node-1');
    agentTwo = await agentOf('second-1', 'node-2', 'second');
    await cluster().pod({ namespace: shop, name: 'web-1', serviceAccount: 'web', node: 'node-1' });
  });
  after(async () => {
    channel?.close();
    await ca?.stop();
  });

  const agentOf = async (name: string, node: string, account = 'ztunnel'): Promise<string> => {
    const uid = await cluster().pod({ namespace: system, name, serviceAccount: account, node });
    return cluster().token({ namespace: system, serviceAccount: account, pod: { name, uid } });
  };
  const idOf = (account: string, namespace = shop): string => `spiffe://cluster.local/ns/${namespace}/sa/${account}`;
  const ask = (token: string | undefined, asked: string, over: Channel = channel, csr = makeCsrPem()) =>
    createCertificate(over, {
      csr,
      ...(token === undefined ? {} : { token }),
      metadata: { ImpersonatedIdentity: asked },
    });
  /**
   * Asks until our own view may no longer be what is behind, and answers how it ended. Not often: what one agent is
   * refused is ledgered one by one ten times at once only.
   */
  const settled = async (token: string | undefined, asked: string): Promise<Seen> => {
    for (let left = 10; left > 0; left -= 1) {
      const seen = await refusal(ask(token, asked)).catch(() => undefined);
      if (seen !== undefined && seen.status !== 'UNAVAILABLE') return seen;
      await sleep(2_000);
    }
    return assert.fail('it was neither refused nor issued');
  };
  const opaque = (seen: Seen): void => {
    assert.deepEqual(
      [seen.status, seen.said, seen.reason],
      ['UNAUTHENTICATED', 'request impersonation authentication failure', 'impersonation_not_allowed'],
    );
  };
  /** A workload account of its own, so that no test knows another's pods. */
  const account = async (): Promise<string> => {
    accounts += 1;
    await cluster().serviceAccount(shop, `app-${accounts}`);
    return `app-${accounts}`;
  };

  it('gets the certificate of a workload on its node, and of nothing else (invariant 1)', async () => {
    let certChain: readonly string[] = [];
    await until(async () => {
      certChain = (await ask(agentOne, idOf('web')).catch(() => ({ certChain: [] }))).certChain;
      return certChain.length > 0;
    });
    const leaf = new X509Certificate(certChain[0] ?? '');
    assert.equal(leaf.subjectAltName, `URI:${idOf('web')}`);
    const entries = await ledgered(ca, 'issuance');
    const entry = entries.find((one) => one.text('serial') === leaf.serialNumber.toLowerCase());
    assert.ok(entry);
    const caller = entry.record('caller');
    assert.equal(entry.text('identity'), idOf('web'));
    assert.equal(caller.text('identity'), idOf('ztunnel', system));
    assert.deepEqual([caller.record('pod').text('name'), caller.text('node')], ['ztunnel-1', 'node-1']);
  });

  it('gets nothing for a workload of another node, and learns nothing; log and ledger have the reason', async () => {
    const seen = await settled(agentTwo, idOf('web'));
    opaque(seen);
    assert.match(String(seen.call), /^[0-9a-f]{16}$/);
    const line = ca.log.find((record) => record['call'] === seen.call);
    assert.match(String(line?.['reason']), /no instances of .*\/sa\/web found on node node-2/);
    await until(async () =>
      (await ledgered(ca, 'refusal')).some((one) => one.text('detail').includes(String(seen.call))),
    );
    const entries = await ledgered(ca, 'refusal');
    const entry = entries.find((one) => one.text('detail').includes(String(seen.call)));
    assert.equal(entry?.text('identity'), idOf('second', system));
  }).timeout(40_000);

  it('counts a pod that is being started, and one no longer that is ending or has ended', async () => {
    const agent = await agentOf('third-1', 'node-1', 'third');
    const issued = (name: string): Promise<void> =>
      until(async () => (await ask(agent, idOf(name)).catch(() => undefined)) !== undefined);

    const [ended, ending] = [await account(), await account()];
    assert.equal((await refusal(ask(agent, idOf(ended)))).status, 'UNAVAILABLE');
    const pod = { namespace: shop, name: `${ended}-pod` };
    await cluster().pod({ ...pod, serviceAccount: ended, phase: 'Pending' });
    await issued(ended);
    // With time to end it stays, marked as ending, since no kubelet says that it is gone.
    const spec = { terminationGracePeriodSeconds: 300 };
    await cluster().pod({ namespace: shop, name: `${ending}-pod`, serviceAccount: ending, spec });
    await issued(ending);

    await cluster().podStatus(pod, { phase: 'Succeeded', ready: false });
    await cluster().ask('DELETE', `/api/v1/namespaces/${shop}/pods/${ending}-pod`);
    for (const seen of await Promise.all([settled(agent, idOf(ended)), settled(agent, idOf(ending))])) opaque(seen);
  }).timeout(60_000);

  it('is nobody without a listed account, without a pod, or for what is no workload of this mesh', async () => {
    opaque(await settled(await agentOf('other-1', 'node-1', 'other'), idOf('web')));
    opaque(await settled(await cluster().token({ namespace: system, serviceAccount: 'ztunnel' }), idOf('web')));
    opaque(await settled(agentOne, `spiffe://elsewhere/ns/${shop}/sa/web`));
    opaque(await settled(agentOne, 'shop/web'));
  });

  it('is asked to come again for a pod that may only not have been seen yet, and ledgered all the same', async () => {
    const name = await account();
    const seen = await refusal(ask(await agentOf('fourth-1', 'node-1', 'fourth'), idOf(name)));
    assert.deepEqual([seen.status, seen.reason], ['UNAVAILABLE', 'impersonation_not_yet']);
    await until(async () => (await ledgered(ca, 'refusal')).some((one) => one.text('detail').includes(idOf(name))));
  });

  describe('by certificates', () => {
    const certified = async (token: string, asked?: string): Promise<Channel> => {
      const keys = ecKeys();
      const csr = makeCsrPem({ keys });
      const { certChain } = await (asked === undefined
        ? createCertificate(channel, { csr, token })
        : ask(token, asked, channel, csr));
      const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      return ca.channel({ certificateChain: certChain[0] ?? '', privateKey });
    };

    it('acts for its workloads by its own, while its token cannot be judged (invariant 9)', async () => {
      const own = await certified(agentOne);
      await cluster().plane.stopApiServer();
      try {
        const { certChain } = await ask(undefined, idOf('web'), own);
        assert.equal(new X509Certificate(certChain[0] ?? '').subjectAltName, `URI:${idOf('web')}`);
      } finally {
        await cluster().plane.startApiServer();
      }
      own.close();
    }).timeout(60_000);

    it('renews none that it was given for a workload: the workload may have left (invariant 1)', async () => {
      const held = await certified(agentOne, idOf('web'));
      const seen = await refusal(createCertificate(held, { csr: makeCsrPem() }));
      assert.deepEqual([seen.status, seen.reason], ['UNAUTHENTICATED', 'renewal_impersonated']);
      const again = await refusal(ask(undefined, idOf('web'), held));
      assert.equal(again.reason, 'renewal_impersonated');
      held.close();
    });
  });

  it('is asked to come again, and nothing is held against it, while the pods have not been read', async function () {
    this.timeout(60_000);
    const on = await startCaOn(cluster(), temporaryFolder(this), {
      auth: { trustedNodeAccounts: [`${system}/ztunnel`] },
      resources: 'unreadable',
    });
    const over = on.ca.channel();
    const seen = await refusal(ask(agentOne, idOf('web'), over));
    assert.deepEqual([seen.status, seen.reason], ['UNAVAILABLE', 'pods_not_read']);
    // It gets its own meanwhile.
    await createCertificate(over, { csr: makeCsrPem(), token: agentOne });
    // What is refused later is ledgered later, and alone.
    const last = await refusal(createCertificate(over, { csr: 'no CSR', token: agentOne }));
    over.close();
    await until(async () => (await ledgered(on.ca, 'refusal')).length > 0);
    const reasons = (await ledgered(on.ca, 'refusal')).map((entry) => entry.text('reason'));
    assert.deepEqual(reasons, [last.reason]);
    await on.ca.stop();
  });
});

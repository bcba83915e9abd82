import { strict as assert } from 'node:assert';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Channel } from '../../src/wire/grpc-client.ts';
import { aSecond } from '../fakes/a-second.ts';
import { ecKeys } from '../fakes/certificate-maker.ts';
import { makeCsrPem } from '../fakes/csr-maker.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { createCertificate, type RunningCa } from '../fakes/running-ca.ts';
import { serviceAccountClaims, signToken, testKey } from '../fakes/tokens.ts';
import { ledgered, startCaOn, type CaOnCluster } from './ca-on-cluster.ts';
import { useCluster } from './cluster.ts';
import { until } from './until.ts';

interface Seen {
  readonly status: unknown;
  readonly said: unknown;
  readonly reason: unknown;
}

async function refusal(call: Promise<unknown>): Promise<Seen> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof SealwrightError, String(error));
    const { status, message, reason } = error.fields;
    return { status, said: message, reason };
  }
  return assert.fail('it was issued');
}

describe('authentication by a real API server (slow)', function () {
  const cluster = useCluster();
  let on: CaOnCluster;
  let ca: RunningCa;
  let channel: Channel;
  let folder: string;
  let namespace: string;
  let pods = 0;

  before('a CA', async function () {
    this.timeout(60_000);
    folder = temporaryFolder(this);
    on = await startCaOn(cluster(), folder);
    ca = on.ca;
    channel = ca.channel();
    namespace = await cluster().namespace('shop', ['web']);
  });
  after(async () => {
    channel?.close();
    await ca?.stop();
  });

  const issue = (token: string | undefined, over: Channel = channel, csr = makeCsrPem()) =>
    createCertificate(over, { csr, ...(token === undefined ? {} : { token }) });
  /** A pod that nobody has heard of, and a token for it. */
  const podWithToken = async (account = 'web'): Promise<{ name: string; uid: string; token: string }> => {
    pods += 1;
    const name = `web-${pods}`;
    const uid = await cluster().pod({ namespace, name, serviceAccount: account });
    return { name, uid, token: await cluster().token({ namespace, serviceAccount: account, pod: { name, uid } }) };
  };
  const deletePod = (name: string) => cluster().ask('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`);
  /** A certificate of a new pod, and a connection that shows it. */
  const renewing = async (account = 'web'): Promise<{ name: string; own: Channel }> => {
    const { name, token } = await podWithToken(account);
    const keys = ecKeys();
    const { certChain } = await issue(token, channel, makeCsrPem({ keys }));
    const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    return { name, own: ca.channel({ certificateChain: certChain[0] ?? '', privateKey }) };
  };
  const refusedAs = async (token: string, code: string): Promise<void> => {
    const seen = await refusal(issue(token));
    assert.deepEqual(seen, { status: 'UNAUTHENTICATED', said: 'request authenticate failure', reason: code });
  };

  it('gives the account of a bound token its certificate, and ledgers pod, account and node', async () => {
    const { name, uid, token } = await podWithToken();
    const { certChain } = await issue(token);
    const leaf = new X509Certificate(certChain[0] ?? '');
    assert.equal(leaf.subjectAltName, `URI:spiffe://cluster.local/ns/${namespace}/sa/web`);
    const account = await cluster().ask('GET', `/api/v1/namespaces/${namespace}/serviceaccounts/web`);
    const entries = await ledgered(ca, 'issuance');
    const entry = entries.find((one) => one.text('serial') === leaf.serialNumber.toLowerCase());
    assert.ok(entry);
    const caller = entry.record('caller');
    assert.deepEqual(
      [caller.text('method'), caller.record('pod').text('name'), caller.record('pod').text('uid')],
      ['token-review', name, uid],
    );
    assert.equal(caller.text('node'), 'node-1');
    assert.equal(caller.text('serviceAccountUid'), (account['metadata'] as Record<string, unknown>)['uid']);
  });

  it('refuses at once a token whose pod was deleted', async () => {
    const { name, token } = await podWithToken();
    await deletePod(name);
    await refusedAs(token, 'token_refused');
  });

  it('refuses a token that it has just taken once its pod was deleted, after no cache but the API server’s own', async () => {
    const { name, token } = await podWithToken();
    await issue(token);
    await deletePod(name);
    // Successes are kept for ten seconds there (TokenSuccessCacheTTL of the API server).
    await until(async () => {
      try {
        await issue(token);
        return false;
      } catch {
        return true;
      }
    }, 15_000);
    await refusedAs(token, 'token_refused');
  }).timeout(40_000);

  it('refuses at once a token whose account was deleted, also where there is another of the same name', async () => {
    const other = await cluster().namespace('deleted', ['web']);
    const token = await cluster().token({ namespace: other, serviceAccount: 'web' });
    const again = await cluster().token({ namespace: other, serviceAccount: 'web' });
    await cluster().ask('DELETE', `/api/v1/namespaces/${other}/serviceaccounts/web`);
    await refusedAs(token, 'token_refused');
    await cluster().serviceAccount(other, 'web');
    await refusedAs(again, 'token_refused');
  });

  it('refuses a token for another audience, and one for the API server itself', async () => {
    for (const audience of ['vault', 'https://kubernetes.default.svc.cluster.local', 'sealwright-operator']) {
      await refusedAs(
        await cluster().token({ namespace, serviceAccount: 'web', audiences: [audience] }),
        'token_audience',
      );
    }
    // For ours and for another: that somebody else may show it too is their matter.
    const both = await cluster().token({ namespace, serviceAccount: 'web', audiences: ['vault', 'istio-ca'] });
    assert.equal((await issue(both)).certChain.length, 2);
  });

  it('refuses a token of another cluster, and one with a changed bit', async () => {
    const foreign = signToken(testKey('another cluster'), serviceAccountClaims(Date.now()));
    await refusedAs(foreign, 'token_refused');
    const { token } = await podWithToken();
    const [head, claims, signature = ''] = token.split('.');
    const changed = `${head}.${claims}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    await refusedAs(changed, 'token_refused');
  });

  it('refuses an expired token of this cluster, and says in the log when it expired', async () => {
    const privateKey = createPrivateKey(readFileSync(join(cluster().plane.folder, 'account.key')));
    const publicKey = createPublicKey(privateKey);
    const now = Math.floor(Date.now() / 1_000);
    const times = { iat: now - 7_200, nbf: now - 7_200, exp: now - 3_600 };
    const key = { kid: 'x', alg: 'RS256', privateKey, publicKey, jwk: {} };
    await refusedAs(signToken(key, serviceAccountClaims(Date.now(), times)), 'token_expired');
    const line = ca.log.find((record) => record['code'] === 'token_expired');
    assert.match(String(line?.['reason']), /expired: "20/);
  });

  it('refuses the token of a person, which names no account', async () => {
    await refusedAs('the-token-of-the-administrator', 'token_malformed');
  });

  it('refuses tokens of secrets, which are for no audience, are bound to no pod and never end', async () => {
    await cluster().apply({
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/service-account-token',
      metadata: { name: 'web-token', namespace, annotations: { 'kubernetes.io/service-account.name': 'web' } },
    });
    let token = '';
    await until(async () => {
      const { data } = await cluster().ask('GET', `/api/v1/namespaces/${namespace}/secrets/web-token`);
      token = Buffer.from((data as Record<string, string> | undefined)?.['token'] ?? '', 'base64').toString();
      return token !== '';
    });
    await refusedAs(token, 'token_audience');
  });

  describe('renewing by certificate', () => {
    it('goes on while pod and account are there, and keeps whose they are', async () => {
      const { name, own } = await renewing();
      const { certChain } = await issue(undefined, own);
      own.close();
      const serial = new X509Certificate(certChain[0] ?? '').serialNumber.toLowerCase();
      const entry = (await ledgered(ca, 'issuance')).find((one) => one.text('serial') === serial);
      const caller = entry?.record('caller');
      assert.deepEqual([caller?.text('method'), caller?.record('pod').text('name')], ['svid', name]);
      assert.ok(caller?.text('serviceAccountUid'));
    });

    it('ends at once with its pod', async () => {
      const { name, own } = await renewing();
      await deletePod(name);
      const seen = await refusal(issue(undefined, own));
      own.close();
      assert.deepEqual([seen.status, seen.reason], ['UNAUTHENTICATED', 'renewal_gone']);
      // The caller does not wait for this entry.
      await until(async () =>
        (await ledgered(ca, 'refusal')).some((one) => one.text('detail').includes('the pod does not exist')),
      );
    });

    it('ends when a pod has ended, and with the account, also where there is another of the same name', async () => {
      const { name, own } = await renewing();
      await cluster().podStatus({ namespace, name }, { phase: 'Succeeded', ready: false });
      assert.equal((await refusal(issue(undefined, own))).reason, 'renewal_gone');
      own.close();
      await cluster().serviceAccount(namespace, 'shortlived');
      const later = await renewing('shortlived');
      await cluster().ask('DELETE', `/api/v1/namespaces/${namespace}/serviceaccounts/shortlived`);
      assert.equal((await refusal(issue(undefined, later.own))).reason, 'renewal_gone');
      await cluster().serviceAccount(namespace, 'shortlived');
      assert.equal((await refusal(issue(undefined, later.own))).reason, 'renewal_gone');
      later.own.close();
    });
  });

  describe('while the API server cannot answer', () => {
    const comesAgain = async (token: string): Promise<void> => {
      const began = performance.now();
      const seen = await refusal(issue(token));
      assert.deepEqual([seen.status, seen.reason], ['UNAVAILABLE', 'authentication_unavailable']);
      assert.ok(performance.now() - began < 14 * aSecond());
    };

    /** Refusals, once one that is caused now is among them: those before it are too. The caused ones do not count. */
    const refusals = async (): Promise<number> => {
      marks += 1;
      const account = `mark-${marks}`;
      await cluster().serviceAccount(namespace, account);
      const token = await cluster().token({ namespace, serviceAccount: account });
      await refusal(issue(token, channel, 'no CSR'));
      let entries: string[] = [];
      await until(async () => {
        entries = (await ledgered(ca, 'refusal')).map((entry) => entry.text('identity'));
        return entries.some((identity) => identity.endsWith(`/sa/${account}`));
      });
      return entries.filter((identity) => !identity.includes('/sa/mark-')).length;
    };
    let marks = 0;
    let before: number;
    beforeEach(async () => {
      before = await refusals();
    });
    /** Nothing is held against anybody. */
    const nobodyWasRefused = async (): Promise<void> => assert.equal(await refusals(), before);

    it('since it forbids the question: callers are to come again, and the log names what is missing', async () => {
      const { token } = await podWithToken();
      const { own } = await renewing();
      await on.allow(false);
      // Roles reach the API server's own cache in a moment.
      await until(async () => (await refusal(issue(token)).catch(() => undefined)) !== undefined);
      await comesAgain(token);
      // Nor may it ask for pods: a renewal by certificate goes on, and that is said.
      assert.equal((await issue(undefined, own)).certChain.length, 2);
      own.close();
      assert.ok(
        ca.log.some(({ message }) => message === 'a renewal goes on without asking whether its pod is still there'),
      );
      assert.ok(
        ca.log.some((record) => /may not create tokenreviews.authentication.k8s.io/.test(String(record['reason']))),
      );
      await on.allow(true);
      await until(async () => (await issue(token).catch(() => undefined)) !== undefined);
      await nobodyWasRefused();
    });

    it('since it hangs: they are to come again, and renewals by certificate go on (invariant 9)', async () => {
      const { token } = await podWithToken();
      const { own } = await renewing();
      cluster().plane.signalApiServer('SIGSTOP');
      try {
        const renewed = issue(undefined, own);
        await comesAgain(token);
        assert.equal((await renewed).certChain.length, 2);
      } finally {
        cluster().plane.signalApiServer('SIGCONT');
      }
      own.close();
      await until(async () => (await issue(token).catch(() => undefined)) !== undefined);
      await nobodyWasRefused();
    }).timeout(60_000);

    it('since it is down: the same, and afterwards all is as before', async () => {
      const { token, name } = await podWithToken();
      const { own } = await renewing();
      await cluster().plane.stopApiServer();
      try {
        await comesAgain(token);
        assert.equal((await issue(undefined, own)).certChain.length, 2);
      } finally {
        await cluster().plane.startApiServer();
      }
      own.close();
      assert.equal((await issue(token)).certChain.length, 2);
      await nobodyWasRefused();
      await deletePod(name);
    }).timeout(60_000);
  });

  it('shows no token in its log or its ledger (invariant 2)', async () => {
    const { token } = await podWithToken();
    await issue(token);
    const said = JSON.stringify(ca.log);
    for (const part of token.split('.').slice(1)) assert.ok(!said.includes(part));
    const lines: string[] = [];
    for await (const line of ca.operator.lines('/v1/ledger/export')) lines.push(line);
    for (const part of token.split('.').slice(1)) assert.ok(!lines.some((line) => line.includes(part)));
    assert.ok(!lines.some((line) => /eyJ[\w-]+\.eyJ/.test(line)));
  });
});

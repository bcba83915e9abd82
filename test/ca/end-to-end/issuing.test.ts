import { strict as assert } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SealwrightError } from '../../../src/core/errors.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { decodeSinglePem, encodePem } from '../../../src/pki/pem.ts';
import { verifySvid } from '../../../src/pki/verify-svid.ts';
import type { Channel } from '../../../src/wire/grpc-client.ts';
import { ecKeys, extension, makeCa, makeSvid } from '../../fakes/certificate-maker.ts';
import { makeCsrPem } from '../../fakes/csr-maker.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { FakeKubernetesApi } from '../../fakes/kubernetes-api.ts';
import { rejection } from '../../fakes/rejection.ts';
import { createCertificate, RunningCa } from '../../fakes/running-ca.ts';
import { until } from '../../kubernetes/until.ts';
import { encodePart, serviceAccountClaims, signToken, testKey } from '../../fakes/tokens.ts';

/** What a refused caller saw: gRPC status, text, and the code in the trailing metadata. */
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

const bundleOf = (ca: RunningCa) => ({
  trustDomain: parseTrustDomain('cluster.local'),
  roots: [decodeSinglePem(ca.rootPem, 'CERTIFICATE')],
});

describe('a running CA', () => {
  let ca: RunningCa;
  let channel: Channel;
  let token: string;

  before(async function () {
    ca = await RunningCa.start(temporaryFolder(this));
    channel = ca.channel();
    token = await ca.token('shop', 'catalog', { pod: 'catalog-1' });
  });
  after(async () => {
    channel.close();
    assert.equal(await ca.stop(), 0);
  });

  it('answers leaf and root for a service account token', async () => {
    const { certChain } = await createCertificate(channel, { csr: makeCsrPem(), token, seconds: 3_600n });
    assert.equal(certChain.length, 2);
    assert.equal(certChain[1], ca.rootPem);
    const leaf = decodeSinglePem(certChain[0] ?? '', 'CERTIFICATE');
    const verified = verifySvid([leaf], bundleOf(ca), Date.now());
    assert.equal(String(verified.identity), 'spiffe://cluster.local/ns/shop/sa/catalog');
    const lifetime = verified.notAfter - Date.now();
    assert.ok(lifetime > 3_590_000 && lifetime <= 3_600_000, `${lifetime}`);
    for (const pem of certChain) assert.ok(pem.endsWith('-----END CERTIFICATE-----\n'));
  });

  it('names nobody but the caller, whatever the CSR asks for, and says so in its log (invariant 1)', async () => {
    const asked = [
      extension.uris('spiffe://cluster.local/ns/kube-system/sa/admin', 'https://evil.example'),
      extension.ca(),
      extension.keyUsage(0x06),
    ];
    const { certChain } = await createCertificate(channel, { csr: makeCsrPem({ extensions: asked }), token });
    const certificate = new X509Certificate(certChain[0] ?? '');
    assert.equal(certificate.subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/catalog');
    assert.equal(certificate.ca, false);
    const line = await ca.logged('the CSR asks for what only authentication can give: ignored');
    assert.match(JSON.stringify(line), /kube-system/);
  });

  it('has every certificate in its ledger by the time it is answered (invariant 3)', async () => {
    const { certChain } = await createCertificate(channel, { csr: makeCsrPem(), token });
    const { serialNumber } = new X509Certificate(certChain[0] ?? '');
    const shown = (await ca.operator.get('/v1/identities/show', {
      identity: 'spiffe://cluster.local/ns/shop/sa/catalog',
    })) as Record<string, unknown>;
    assert.equal(shown['serial'], serialNumber.toLowerCase());
    assert.equal(shown['pod'], 'catalog-1');
  });

  describe('renewing by certificate', () => {
    it('gives the holder of a certificate the same identity again', async () => {
      const keys = ecKeys();
      const { certChain } = await createCertificate(channel, { csr: makeCsrPem({ keys }), token });
      const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      const own = ca.channel({ certificateChain: certChain[0] ?? '', privateKey });
      const renewed = await createCertificate(own, { csr: makeCsrPem() });
      own.close();
      const leaf = new X509Certificate(renewed.certChain[0] ?? '');
      assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/catalog');
      const rows: string[] = [];
      for await (const row of ca.operator.lines('/v1/identities/history', { identity: leaf.subjectAltName.slice(4) })) {
        rows.push(row);
      }
      assert.match(rows.at(-1) ?? '', /"authenticatedBy":"svid"/);
    });

    it('believes no self-signed certificate that names an identity', async () => {
      const self = makeSvid('spiffe://cluster.local/ns/shop/sa/admin', makeCa('cluster.local'), {
        notBefore: Date.now() - 60_000,
        notAfter: Date.now() + 3_600_000,
      });
      const own = ca.channel({
        certificateChain: encodePem('CERTIFICATE', self.der),
        privateKey: self.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      });
      // TLS did not authorize it, so the connection is closed before the call: not even a token on it counts.
      await assert.rejects(
        createCertificate(own, { csr: makeCsrPem(), token }),
        (error) => error instanceof SealwrightError && error.code === 'ca_unreachable',
      );
      own.close();
    });

    it('refuses a caller whose token and certificate name different identities', async () => {
      const keys = ecKeys();
      const { certChain } = await createCertificate(channel, { csr: makeCsrPem({ keys }), token });
      const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      const own = ca.channel({ certificateChain: certChain[0] ?? '', privateKey });
      const other = await ca.token('shop', 'orders');
      const seen = await refusal(createCertificate(own, { csr: makeCsrPem(), token: other }));
      own.close();
      assert.equal(seen.status, 'UNAUTHENTICATED');
      assert.equal(seen.reason, 'credentials_disagree');
    });
  });

  describe('refuses, in the words of Istio,', () => {
    const foreign = testKey('foreign');
    const claims = (more: Record<string, unknown> = {}): Record<string, unknown> =>
      serviceAccountClaims(Date.now(), { iss: 'https://localhost:15012', ...more });
    const now = Math.floor(Date.now() / 1_000);
    const tokens: [title: string, token: (genuine: string) => string | undefined, reason: string][] = [
      ['no token', () => undefined, 'credentials_missing'],
      ['a token that is no token', () => 'x.y', 'token_malformed'],
      ['a token signed by another key', () => signToken(foreign, claims()), 'token_key_unknown'],
      ['a token of another issuer', () => signToken(foreign, claims({ iss: 'https://elsewhere' })), 'token_issuer'],
      ['alg none', () => `${encodePart({ alg: 'none' })}.${encodePart(claims())}.AA`, 'token_algorithm'],
      [
        'alg none without a signature',
        () => `${encodePart({ alg: 'none' })}.${encodePart(claims())}.`,
        'token_malformed',
      ],
      ['a token with one changed bit', (genuine) => flipped(genuine), 'token_signature'],
      ['an expired token of another key', () => signToken(foreign, claims({ exp: now - 9_999 })), 'token_key_unknown'],
    ];
    for (const [title, makeToken, reason] of tokens) {
      it(title, async () => {
        const bearer = makeToken(token);
        const seen = await refusal(
          createCertificate(channel, { csr: makeCsrPem(), ...(bearer === undefined ? {} : { token: bearer }) }),
        );
        assert.deepEqual(seen, { status: 'UNAUTHENTICATED', said: 'request authenticate failure', reason });
      });
    }

    it('a token for another audience', async () => {
      const other = await ca.token('shop', 'catalog', { audiences: ['vault'] });
      const seen = await refusal(createCertificate(channel, { csr: makeCsrPem(), token: other }));
      assert.deepEqual(seen, {
        status: 'UNAUTHENTICATED',
        said: 'request authenticate failure',
        reason: 'token_audience',
      });
    });

    it('acting for somebody else', async () => {
      const metadata = { ImpersonatedIdentity: 'spiffe://cluster.local/ns/shop/sa/orders' };
      const seen = await refusal(createCertificate(channel, { csr: makeCsrPem(), token, metadata }));
      assert.deepEqual(seen, {
        status: 'UNAUTHENTICATED',
        said: 'request impersonation authentication failure',
        reason: 'impersonation_not_allowed',
      });
    });

    it('by a name in the trailing metadata, under which log and ledger tell the reason', async () => {
      const metadata = { ImpersonatedIdentity: 'spiffe://cluster.local/ns/shop/sa/invoices' };
      const { fields } = await rejection(
        createCertificate(channel, { csr: makeCsrPem(), token, metadata }),
        'ca_refused',
      );
      const call = String(fields['call']);
      assert.match(call, /^[0-9a-f]{16}$/);
      const said = ca.log.find((record) => record['call'] === call);
      assert.match(String(said?.['reason']), /sa\/invoices.*no trusted node account/);
      await until(async () => {
        for await (const line of ca.operator.lines('/v1/ledger/export')) if (line.includes(`call ${call}`)) return true;
        return false;
      });
    });

    const csrs: [title: string, csr: () => string, reason: string][] = [
      ['garbage for a CSR', () => 'garbage', 'pem_invalid'],
      ['PEM around garbage', () => encodePem('CERTIFICATE REQUEST', Buffer.from('garbage')), 'csr_invalid'],
      [
        'a wrongly signed CSR',
        () => makeCsrPem({ signature: Buffer.from('3006020101020101', 'hex') }),
        'csr_signature',
      ],
      ['a CSR of 63 KiB', () => `${makeCsrPem()}${'A'.repeat(63 * 1024)}`, 'pem_invalid'],
      ['two CSRs in one', () => makeCsrPem() + makeCsrPem(), 'pem_invalid'],
    ];
    for (const [title, csr, reason] of csrs) {
      it(title, async () => {
        const seen = await refusal(createCertificate(channel, { csr: csr(), token }));
        assert.equal(seen.status, 'INVALID_ARGUMENT');
        assert.match(String(seen.said), /^CSR signing error \(.+\)$/s);
        assert.equal(seen.reason, reason);
      });
    }

    it('a longer lifetime than it allows, however long', async () => {
      for (const seconds of [2160n * 3_600n + 1n, 2n ** 63n - 1n, 9_223_372_036_854n]) {
        const seen = await refusal(createCertificate(channel, { csr: makeCsrPem(), token, seconds }));
        assert.equal(seen.status, 'INVALID_ARGUMENT');
        assert.match(
          String(seen.said),
          /^CSR signing error \(requested TTL \d+h\d+m\d+s is greater than the max allowed TTL 2160h0m0s\)$/,
        );
      }
    });

    it('and takes a lifetime below zero for the default', async () => {
      const { certChain } = await createCertificate(channel, { csr: makeCsrPem(), token, seconds: -(2n ** 63n) });
      const { validTo } = new X509Certificate(certChain[0] ?? '');
      assert.ok(Math.abs(Date.parse(validTo) - Date.now() - 86_400_000) < 10_000, validTo);
    });
  });

  it('ledgers a refused CSR under the identity that sent it, and what strangers try only as a count', async () => {
    await refusal(createCertificate(channel, { csr: 'garbage', token }));
    const lines: string[] = [];
    for await (const line of ca.operator.lines('/v1/ledger/export')) lines.push(line);
    assert.ok(lines.some((line) => line.includes('"refusal"') && line.includes('pem_invalid')));
    assert.ok(!lines.some((line) => line.includes('credentials_missing') && !line.includes('refusal-summary')));
  });

  it('writes no token and no key into log or ledger (invariant 2)', async () => {
    await refusal(createCertificate(channel, { csr: token, token: `${token}x` }));
    const written = [JSON.stringify(ca.log)];
    for await (const line of ca.operator.lines('/v1/ledger/export')) written.push(line);
    const all = written.join('\n');
    assert.ok(all.length > 1_000);
    for (const part of token.split('.')) assert.ok(!all.includes(part.slice(0, 40)), 'a part of a token was written');
    assert.ok(!all.includes('PRIVATE KEY'));
  });

  it('writes no token that somebody hid in a name or a claim into its log or ledger (invariant 2)', async () => {
    const hidden = signToken(testKey('hidden'), { iss: 'https://elsewhere', sub: 'x' });
    const asked = [
      extension.uris(`https://evil.example/?t=${hidden}`, ...Array<string>(50).fill('https://many.example')),
    ];
    await createCertificate(channel, { csr: makeCsrPem({ extensions: asked }), token });
    const iss = `https://elsewhere/${hidden}`;
    const nested = signToken(testKey('foreign'), serviceAccountClaims(Date.now(), { iss, sub: hidden, aud: hidden }));
    await refusal(createCertificate(channel, { csr: makeCsrPem(), token: nested }));
    await refusal(createCertificate(channel, { csr: makeCsrPem(), token, metadata: { ImpersonatedIdentity: hidden } }));
    // Lines come in order: what was said of the three calls stands before what is said of the next.
    await refusal(createCertificate(channel, { csr: 'last of all', token }));
    const written = [JSON.stringify(ca.log)];
    for await (const line of ca.operator.lines('/v1/ledger/export')) written.push(line);
    const all = written.join('\n');
    for (const part of hidden.split('.')) assert.ok(!all.includes(part.slice(0, 24)), 'a part of a token was written');
    assert.match(all, /evil\.example.*moreNames":47/);
  });

  it('ledgers the certificates of its own servers as its own, without a request that nobody made', async () => {
    const lines: string[] = [];
    for await (const line of ca.operator.lines('/v1/ledger/export')) lines.push(line);
    const own = lines.filter((line) => line.includes('"serverNames"'));
    assert.ok(own.length >= 1);
    for (const line of own) assert.ok(line.includes('"method":"self"') && !line.includes('csrSha256'), line);
  });

  it('counts under the names that Istio has', async () => {
    const scrape = async (): Promise<(name: string) => number> => {
      const text = await (await fetch(`http://127.0.0.1:${ca.metricsPort}/metrics`)).text();
      return (name) =>
        Number(
          text
            .split('\n')
            .find((line) => line.startsWith(`citadel_server_${name} `))
            ?.split(' ')[1],
        );
    };
    const before = await scrape();
    await createCertificate(channel, { csr: makeCsrPem(), token });
    await refusal(createCertificate(channel, { csr: makeCsrPem() }));
    await refusal(createCertificate(channel, { csr: 'garbage', token }));
    await refusal(createCertificate(channel, { csr: makeCsrPem(), token, seconds: 2n ** 40n }));
    const after = await scrape();
    const grew = (name: string): number => after(name) - before(name);
    assert.equal(grew('csr_count'), 4);
    assert.equal(grew('success_cert_issuance_count'), 1);
    assert.equal(grew('authentication_failure_count'), 1);
    assert.equal(grew('csr_parsing_err_count'), 1);
    assert.equal(grew('csr_sign_err_count{error="CSR_ERROR"}'), 1);
    assert.equal(grew('csr_sign_err_count{error="TTL_ERROR"}'), 1);
    assert.equal(grew('csr_sign_err_count{error="UNKNOWN"}'), 0);
    assert.ok(after('root_cert_expiry_seconds') > 315_000_000);
  });
});

describe('a CA that asks Kubernetes about tokens', () => {
  it('issues by TokenReview, refuses what it refuses, and is unavailable while it is', async function () {
    const folder = temporaryFolder(this);
    const api = await FakeKubernetesApi.start();
    const settings = { ca: { auth: { tokenReview: { enabled: true, kubeconfig: api.writeKubeconfig(folder) } } } };
    writeFileSync(join(folder, 'sealwright.yaml'), JSON.stringify(settings));
    const ca = await RunningCa.start(folder);
    const channel = ca.channel();
    try {
      const known = signToken(testKey('kubernetes'), serviceAccountClaims(Date.now()));
      api.tokens.set(known, {
        username: 'system:serviceaccount:shop:catalog',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
        audiences: ['istio-ca'],
      });
      const { certChain } = await createCertificate(channel, { csr: makeCsrPem(), token: known });
      assert.equal(
        new X509Certificate(certChain[0] ?? '').subjectAltName,
        'URI:spiffe://cluster.local/ns/shop/sa/catalog',
      );
      const unknown = signToken(testKey('other'), serviceAccountClaims(Date.now()));
      const refused = await refusal(createCertificate(channel, { csr: makeCsrPem(), token: unknown }));
      assert.equal(refused.status, 'UNAUTHENTICATED');
      api.behaviour = { kind: 'close' };
      const seen = await refusal(createCertificate(channel, { csr: makeCsrPem(), token: known }).then(() => undefined));
      assert.notEqual(seen.said, 'request authenticate failure');
    } finally {
      channel.close();
      await ca.stop();
      await api.close();
    }
  });
});

describe('a CA that asks Kubernetes and knows its keys', () => {
  it('issues by the keys only while Kubernetes cannot be asked', async function () {
    const folder = temporaryFolder(this);
    const api = await FakeKubernetesApi.start();
    const key = testKey('cluster');
    writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [key.jwk] }));
    const issuer = 'https://kubernetes.default.svc.cluster.local';
    const tokenReview = { enabled: true, kubeconfig: api.writeKubeconfig(folder) };
    const settings = { ca: { auth: { issuer, jwksFile: 'jwks.json', tokenReview } } };
    writeFileSync(join(folder, 'sealwright.yaml'), JSON.stringify(settings));
    const ca = await RunningCa.start(folder);
    const channel = ca.channel();
    try {
      // Rightly signed, and of a pod that is gone: only the API server can know.
      const deleted = signToken(key, serviceAccountClaims(Date.now()));
      const refused = await refusal(createCertificate(channel, { csr: makeCsrPem(), token: deleted }));
      assert.deepEqual([refused.status, refused.reason], ['UNAUTHENTICATED', 'token_refused']);
      api.behaviour = { kind: 'close' };
      assert.equal((await createCertificate(channel, { csr: makeCsrPem(), token: deleted })).certChain.length, 2);
      api.behaviour = { kind: 'answer' };
    } finally {
      channel.close();
      await ca.stop();
      await api.close();
    }
  });
});

describe('a CA that is told of an issuer', () => {
  it('verifies tokens by a file of keys, the times included', async function () {
    const folder = temporaryFolder(this);
    const key = testKey('cluster');
    writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [key.jwk] }));
    const issuer = 'https://kubernetes.default.svc.cluster.local';
    const settings = { ca: { auth: { issuer, jwksFile: 'jwks.json' } } };
    writeFileSync(join(folder, 'sealwright.yaml'), JSON.stringify(settings));
    const ca = await RunningCa.start(folder);
    const channel = ca.channel();
    const seconds = Math.floor(Date.now() / 1_000);
    const attempt = (more: Record<string, unknown>): Promise<Seen> =>
      refusal(
        createCertificate(channel, {
          csr: makeCsrPem(),
          token: signToken(key, serviceAccountClaims(Date.now(), more)),
        }),
      );
    try {
      const good = signToken(key, serviceAccountClaims(Date.now()));
      assert.equal((await createCertificate(channel, { csr: makeCsrPem(), token: good })).certChain.length, 2);
      assert.equal((await attempt({ exp: seconds - 3_600 })).reason, 'token_expired');
      assert.equal((await attempt({ nbf: seconds + 3_600 })).reason, 'token_not_yet_valid');
      assert.equal((await attempt({ aud: ['other'] })).reason, 'token_audience');
      assert.equal((await attempt({ sub: 'somebody' })).status, 'UNAUTHENTICATED');
      // The log tells an operator what the caller is not told: both times.
      const line = ca.log.find((record) => record['code'] === 'token_expired');
      assert.match(String(line?.['reason']), /\d{4}-\d\d-\d\dT.*\d{4}-\d\d-\d\dT/);
    } finally {
      channel.close();
      await ca.stop();
    }
  });
});

describe('a CA with a plugged-in intermediate', () => {
  it('answers leaf, intermediate and the whole root bundle as the last element', async function () {
    const folder = temporaryFolder(this);
    const validity = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 30 * 86_400_000 };
    const root = makeCa('the root', validity);
    const other = makeCa('another root', validity);
    const intermediate = makeCa('the intermediate', { ...validity, issuer: root });
    mkdirSync(join(folder, 'ca'), { mode: 0o700 });
    const pem = (...ders: Buffer[]): string => ders.map((der) => encodePem('CERTIFICATE', der)).join('');
    const write = (name: string, text: string): void => writeFileSync(join(folder, 'ca', name), text, { mode: 0o600 });
    write('ca-cert.pem', pem(intermediate.der));
    write('ca-key.pem', intermediate.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    write('cert-chain.pem', pem(intermediate.der));
    write('root-cert.pem', pem(root.der, other.der));
    const ca = await RunningCa.start(folder);
    const channel = ca.channel();
    try {
      const { certChain } = await createCertificate(channel, {
        csr: makeCsrPem(),
        token: await ca.token('shop', 'catalog'),
        // Longer than the intermediate lives: cut to its end.
        seconds: 60n * 86_400n,
      });
      assert.deepEqual(certChain.slice(1), [pem(intermediate.der), pem(root.der, other.der)]);
      const leaf = decodeSinglePem(certChain[0] ?? '', 'CERTIFICATE');
      const bundle = { trustDomain: parseTrustDomain('cluster.local'), roots: [root.der] };
      const verified = verifySvid([leaf, intermediate.der], bundle, Date.now());
      assert.ok(verified.identity.equals(SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog')));
      assert.ok(verified.notAfter <= validity.notAfter);
    } finally {
      channel.close();
      await ca.stop();
    }
  });
});

/** The token with one bit of its signature changed. */
function flipped(token: string): string {
  const [header = '', claims = '', signature = ''] = token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes[10] = (bytes[10] ?? 0) ^ 1;
  return `${header}.${claims}.${bytes.toString('base64url')}`;
}

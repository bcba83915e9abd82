import { strict as assert } from 'node:assert';
import { randomBytes, X509Certificate } from 'node:crypto';
import { inspect } from 'node:util';
import { fingerprintOf, readCaSecret, SECRETS } from '../../../ca/roots/ca-secret.ts';
import { openSecretRoots, type SecretRoots, type SecretRootsOptions } from '../../../ca/roots/open-secret-roots.ts';
import { CONFIG_MAPS, OWN_NAME, SHARED_NAME } from '../../../ca/roots/published-bundle.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import type { KubernetesObject } from '../../../src/kubernetes/kubernetes-object.ts';
import { encodeCertificates } from '../../../src/pki/certificate-pem.ts';
import { createKeyPair, encodePrivateKey } from '../../../src/pki/keys.ts';
import { caExtensions, makeCertificate, uriNames, type MadeCertificate } from '../../fakes/certificates.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { MemoryApi } from '../../fakes/memory-api.ts';

const SECRET = { namespace: 'sealwright-system', name: 'sealwright-ca' };
const NAMES = ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'root-cert.pem'];

type Texts = Readonly<Record<string, string>>;

const pem = (...made: readonly MadeCertificate[]): string => encodeCertificates(made.map((one) => one.certificate));
const encoded = (texts: Texts): Texts =>
  Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text).toString('base64')]));

describe('a root in a Secret', () => {
  let api: MemoryApi;
  let clock: FakeClock;
  let logger: RecordingLogger;
  let root: MadeCertificate;
  let issuer: MadeCertificate;
  let good: Texts;
  before(async () => {
    root = await makeCertificate({ subject: 'O=acme, CN=root' });
    issuer = await makeCertificate({
      subject: 'O=acme, CN=issuer',
      issuer: root,
      extensions: [...caExtensions(0), uriNames('spiffe://cluster.local')],
    });
    good = {
      'ca-cert.pem': pem(issuer),
      'ca-key.pem': encodePrivateKey(issuer.privateKey),
      'cert-chain.pem': pem(issuer),
      'root-cert.pem': pem(root),
    };
  });
  beforeEach(() => {
    api = new MemoryApi();
    clock = new FakeClock();
    logger = new RecordingLogger();
  });

  const open = (change: Partial<SecretRootsOptions> = {}): Promise<SecretRoots> =>
    openSecretRoots({
      client: api.client(),
      secret: SECRET,
      trustDomain: parseTrustDomain('cluster.local'),
      clock,
      random: () => 0.5,
      randomBytes,
      logger,
      ...change,
    });
  const put = (data: unknown, type = 'Opaque'): void => {
    api.create(SECRETS, { type, data, metadata: { name: SECRET.name } }, { namespace: SECRET.namespace });
  };
  const stored = (): KubernetesObject => {
    const object = api.get(SECRETS, SECRET);
    assert.ok(object);
    return object;
  };
  const refused = async (code: ErrorCode, ...said: RegExp[]): Promise<void> => {
    const before = JSON.stringify(api.get(SECRETS, SECRET)?.body);
    await assert.rejects(open(), (error) => {
      assert.ok(error instanceof SealwrightError, String(error));
      assert.equal(error.code, code, error.message);
      const text = `${error.message} ${JSON.stringify(error.fields)}`;
      for (const pattern of [/Secret sealwright-system\/sealwright-ca/, ...said]) assert.match(text, pattern);
      assert.doesNotMatch(inspect(error, { depth: 9 }), /PRIVATE KEY-----|LS0tLS1CRUdJTiBQ/);
      return true;
    });
    assert.equal(JSON.stringify(api.get(SECRETS, SECRET)?.body), before, 'it was changed');
  };

  it('is made where there is none, and is the same from then on', async () => {
    const { material } = await open();
    const { body, metadata } = stored();
    assert.deepEqual(Object.keys(body['data'] as object).sort(), NAMES);
    assert.equal(metadata.labels['app.kubernetes.io/managed-by'], 'sealwright');
    assert.equal(material.selfSigned, true);
    const again = await open();
    assert.deepEqual(again.material.certificate, material.certificate);
    assert.ok(new X509Certificate(material.certificate).checkPrivateKey(again.material.privateKey));
    assert.equal(api.asked.filter((one) => one === 'create secrets').length, 1);
    assert.ok(!api.asked.some((one) => one.startsWith('update') || one.startsWith('patch')));
  });

  it('is one and the same for replicas that start at the same moment', async () => {
    const opened = await Promise.all(Array.from({ length: 5 }, () => open()));
    const certificates = opened.map(({ material }) => material.certificate.toString('hex'));
    assert.equal(new Set(certificates).size, 1);
    assert.equal(api.asked.filter((one) => one === 'create secrets').length, 5, 'they did not all try at once');
    assert.equal(new Set(opened.map(({ fingerprint }) => fingerprint)).size, 1);
  });

  it('is in no log and in no error, nor in what shows the material (invariant 2)', async () => {
    const { material } = await open();
    const key = encodePrivateKey(material.privateKey).split('\n')[1] ?? '';
    assert.ok(key.length > 20);
    const shown = `${logger.text} ${JSON.stringify(material)} ${JSON.stringify(await open())}`;
    assert.ok(!shown.includes(key) && !shown.includes('PRIVATE'), shown);
  });

  it('is taken as cacerts has it: an intermediate, its chain and its root', async () => {
    put(encoded(good));
    const { material } = await open();
    assert.deepEqual(material.certificate, issuer.certificate);
    assert.deepEqual(material.roots, [root.certificate]);
    assert.equal(material.selfSigned, false);
  });

  it('is taken as cert-manager writes it (kubernetes.io/tls)', async () => {
    const texts = { 'tls.crt': pem(issuer), 'tls.key': good['ca-key.pem'] ?? '', 'ca.crt': pem(root) };
    put(encoded(texts), 'kubernetes.io/tls');
    assert.deepEqual((await open()).material.roots, [root.certificate]);
  });

  for (const roots of ['empty', 'missing', 'there'] as const) {
    it(`is taken as istio-ca-secret has it, its root-cert.pem ${roots} and its key in PKCS#1`, async () => {
      const made = await makeCertificate({ subject: 'O=cluster.local', keyPair: await createKeyPair({ type: 'RSA' }) });
      const others = { missing: {}, empty: { 'root-cert.pem': '' }, there: { 'root-cert.pem': pem(made) } };
      const key = made.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
      const texts = { 'ca-cert.pem': pem(made), 'ca-key.pem': key, 'cert-chain.pem': '', 'key.pem': '' };
      put(encoded({ ...texts, ...others[roots] }), 'istio.io/ca-root');
      const { material } = await open();
      assert.deepEqual([material.roots, material.selfSigned], [[made.certificate], true]);
    });
  }

  it('is not made anew where its roots are published: it was deleted, and a new one nobody would trust', async () => {
    const labels = { 'app.kubernetes.io/managed-by': 'sealwright' };
    api.create(CONFIG_MAPS, { metadata: { name: SHARED_NAME, labels } }, { namespace: SECRET.namespace });
    await refused('ca_secret_lost');
    assert.equal(api.get(SECRETS, SECRET), undefined);
    api.delete(CONFIG_MAPS, { namespace: SECRET.namespace, name: SHARED_NAME });
    // Another CA's bundle says nothing about ours.
    api.create(CONFIG_MAPS, { metadata: { name: SHARED_NAME } }, { namespace: SECRET.namespace });
    await open();
  });

  it('is not made anew where its roots are published beside another CA’s, under the other name', async () => {
    const labels = { 'app.kubernetes.io/managed-by': 'sealwright' };
    const { namespace } = SECRET;
    api.create(CONFIG_MAPS, { metadata: { name: SHARED_NAME, labels: { 'istio.io/config': 'true' } } }, { namespace });
    api.create(CONFIG_MAPS, { metadata: { name: OWN_NAME, labels } }, { namespace });
    await refused('ca_secret_lost', new RegExp(OWN_NAME));
    assert.equal(api.get(SECRETS, SECRET), undefined);
  });

  it('is used where another replica made and published it since it was looked for', async () => {
    put(encoded(good));
    const labels = { 'app.kubernetes.io/managed-by': 'sealwright' };
    api.create(CONFIG_MAPS, { metadata: { name: SHARED_NAME, labels } }, { namespace: SECRET.namespace });
    const client = api.client();
    let first = true;
    const get: typeof client.get = (...all) => {
      if (!first) return client.get(...all);
      first = false;
      return Promise.resolve(undefined);
    };
    assert.deepEqual((await open({ client: { ...client, get } })).material.roots, [root.certificate]);
  });

  it('stops the start where a key is missing, and names the Secret and the key', async () => {
    for (const name of NAMES) {
      api.delete(SECRETS, SECRET);
      put(encoded(Object.fromEntries(Object.entries(good).filter(([other]) => other !== name))));
      await refused('ca_secret_unusable', new RegExp(name));
    }
  });

  for (const [what, data] of [
    ['nothing', undefined],
    ['no data', {}],
    ['a list', []],
    ['something else', { password: 'eA==' }],
  ] as const) {
    it(`stops the start where the Secret holds ${what}, and makes no CA over it`, async () => {
      put(data);
      await refused('ca_secret_unusable');
      assert.ok(!api.asked.includes('update secrets'));
    });
  }

  it('stops the start where a value is damaged, without a piece of it in the error', async () => {
    const damaged: readonly (readonly [string, unknown, ErrorCode])[] = [
      ['ca-key.pem', 'not base64!', 'ca_secret_unusable'],
      ['ca-key.pem', 7, 'ca_secret_unusable'],
      ['ca-key.pem', Buffer.from(String(good['ca-key.pem']).slice(0, 80)).toString('base64'), 'ca_file_malformed'],
      ['ca-cert.pem', Buffer.from('nothing').toString('base64'), 'ca_file_malformed'],
      ['root-cert.pem', Buffer.from(pem(issuer)).toString('base64'), 'ca_certificate_unfit'],
      ['ca-key.pem', Buffer.from(encodePrivateKey(root.privateKey)).toString('base64'), 'ca_key_mismatch'],
      ['tls.crt', 'eA==', 'ca_secret_unusable'],
    ];
    for (const [name, value, code] of damaged) {
      api.delete(SECRETS, SECRET);
      put({ ...encoded(good), [name]: value });
      await refused(code);
    }
  });

  it('stops the start where its CA has expired', async () => {
    put(encoded(good));
    clock.advance(100 * 365 * 86_400_000);
    await refused('ca_certificate_expired', /ca-cert\.pem|root-cert\.pem/);
  });

  it('waits for an API server that is away at the start, and says so', async () => {
    put(encoded(good));
    let left = 3;
    const client = api.client();
    const opening = open({
      client: {
        ...client,
        get: (...all) => (left-- > 0 ? Promise.reject(unreachable()) : client.get(...all)),
      },
    });
    const opened = await whileTimePasses(opening);
    assert.deepEqual(opened.material.roots, [root.certificate]);
    assert.equal(logger.lines.filter(({ level }) => level === 'warn').length, 3);
  });

  it('gives up after two minutes, with what was wrong', async () => {
    const client = { ...api.client(), get: () => Promise.reject(unreachable()) };
    await assert.rejects(whileTimePasses(open({ client })), /kubernetes_unreachable|no answer that can be used/);
    assert.ok(clock.elapsed() >= 120_000 && clock.elapsed() < 140_000, String(clock.elapsed()));
  });

  it('uses the CA that was made although the answer to that was lost', async () => {
    const client = api.client();
    const create = async (...all: Parameters<typeof client.create>): ReturnType<typeof client.create> => {
      await client.create(...all);
      throw unreachable();
    };
    const { material } = await whileTimePasses(open({ client: { ...client, create } }));
    assert.equal(readCaSecret(stored(), SECRET).certificate.text, encodeCertificates([material.certificate]));
  });

  it('does not make one CA after the other for a server that keeps none', async () => {
    let made = 0;
    const client = api.client();
    const create = (...all: Parameters<typeof client.create>): ReturnType<typeof client.create> => {
      made += 1;
      return new MemoryApi().client().create(...all);
    };
    await assert.rejects(whileTimePasses(open({ client: { ...client, create } })));
    assert.equal(made, 1);
  });

  it('says soon what it may not do, since a server that has just started forbids everything', async () => {
    const get = (): Promise<never> =>
      Promise.reject(new SealwrightError('kubernetes_forbidden', { verb: 'get', resource: 'secrets', ...SECRET }));
    await assert.rejects(whileTimePasses(open({ client: { ...api.client(), get } })), /secrets/);
    assert.ok(clock.elapsed() >= 15_000 && clock.elapsed() < 30_000, String(clock.elapsed()));
    put(encoded(good));
    let left = 3;
    const client = api.client();
    const once: typeof client.get = (...all) => (left-- > 0 ? get() : client.get(...all));
    assert.ok(await whileTimePasses(open({ client: { ...client, get: once } })));
  });

  it('is known again by its CA, and not by its labels', () => {
    put(encoded(good));
    const first = fingerprintOf(stored());
    api.mergePatch(SECRETS, { metadata: { labels: { a: 'b' } }, data: { other: 'eA==' } }, SECRET);
    assert.equal(fingerprintOf(stored()), first);
    api.mergePatch(SECRETS, { data: { 'ca-key.pem': 'eA==' } }, SECRET);
    assert.notEqual(fingerprintOf(stored()), first);
  });

  const unreachable = (): SealwrightError => new SealwrightError('kubernetes_unreachable', { reason: 'refused' });

  async function whileTimePasses<T>(work: Promise<T>): Promise<T> {
    const state = { over: false };
    const done = work.finally(() => (state.over = true));
    done.catch(() => undefined);
    while (!state.over) {
      await new Promise(setImmediate);
      // Only while it waits for it: none passes while a key is made.
      if (clock.nextDue !== undefined) clock.advance(clock.nextDue - clock.now());
    }
    return done;
  }
});

import { strict as assert } from 'node:assert';
import { randomBytes, X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openRoots } from '../../../ca/roots/open-roots.ts';
import { serverSigner } from './server-signer.ts';
import type { CaMaterial } from '../../../ca/roots/ca-material.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { encodeCertificates } from '../../../src/pki/certificate-pem.ts';
import { createKeyPair, encodePrivateKey } from '../../../src/pki/keys.ts';
import { caExtensions, makeCertificate, uriNames, x509, type MadeCertificate } from '../../fakes/certificates.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { needTool, runTool } from '../../fakes/external-tool.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

const trustDomain = parseTrustDomain('cluster.local');
const clock = new FakeClock();
const now = clock.now();
const DAY = 86_400_000;

type Files = Readonly<Record<string, string>>;
const pem = (...made: readonly MadeCertificate[]): string => encodeCertificates(made.map((one) => one.certificate));
const keyPem = (made: MadeCertificate): string => encodePrivateKey(made.privateKey);

describe('a plugged-in CA', () => {
  let root: MadeCertificate;
  let middle: MadeCertificate;
  let issuer: MadeCertificate;
  let stranger: MadeCertificate;
  let good: Files;
  before(async () => {
    root = await makeCertificate({ subject: 'O=acme, CN=root' });
    middle = await makeCertificate({ subject: 'O=acme, CN=middle', issuer: root });
    issuer = await makeCertificate({
      subject: 'O=acme, CN=issuer',
      issuer: middle,
      extensions: [...caExtensions(0), uriNames('spiffe://cluster.local')],
    });
    stranger = await makeCertificate({ subject: 'O=acme, CN=stranger' });
    good = istio(issuer, [issuer, middle, root], [root]);
  });

  const istio = (ca: MadeCertificate, chain: MadeCertificate[], roots: MadeCertificate[]): Files => ({
    'ca-cert.pem': pem(ca),
    'ca-key.pem': keyPem(ca),
    'cert-chain.pem': pem(...chain),
    'root-cert.pem': pem(...roots),
  });

  let folder: string;
  let logger: RecordingLogger;
  beforeEach(function () {
    folder = temporaryFolder(this);
    logger = new RecordingLogger();
  });

  const open = (files: Files, place: 'state' | 'mounted' = 'state'): Promise<CaMaterial> => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
    const common = { trustDomain, clock, randomBytes, logger };
    return place === 'state'
      ? openRoots({ ...common, folder })
      : openRoots({ ...common, folder: join(folder, 'state'), pluggedIn: folder });
  };

  const refused = async (files: Files, code: ErrorCode, ...said: RegExp[]): Promise<void> => {
    await assert.rejects(open(files), (error) => {
      assert.ok(error instanceof SealwrightError, String(error));
      assert.equal(error.code, code, error.message);
      for (const pattern of said) assert.match(error.message, pattern);
      return true;
    });
  };

  describe('is taken', () => {
    it("under Istio's names, with its chain put in order and without the root", async () => {
      const material = await open({ ...good, 'cert-chain.pem': pem(root, middle, issuer, stranger) });
      assert.equal(material.selfSigned, false);
      assert.deepEqual(material.certificate, issuer.certificate);
      assert.deepEqual(material.chain, [issuer.certificate, middle.certificate]);
      assert.deepEqual(material.roots, [root.certificate]);
      assert.ok(material.privateKey.equals(issuer.privateKey));
    });

    it('under the names of kubernetes.io/tls, with the intermediates after the first certificate', async () => {
      const files = { 'tls.crt': pem(issuer, middle), 'tls.key': keyPem(issuer), 'ca.crt': pem(root) };
      const material = await open(files, 'mounted');
      assert.deepEqual(material.chain, [issuer.certificate, middle.certificate]);
      assert.ok(!existsSync(join(folder, 'state')), 'nothing is made beside a plugged-in CA');
    });

    it('with several roots in the bundle, without repeating one', async () => {
      const material = await open({ ...good, 'root-cert.pem': pem(stranger, root, stranger) });
      assert.deepEqual(material.roots, [stranger.certificate, root.certificate]);
      assert.deepEqual(material.chain, [issuer.certificate, middle.certificate]);
    });

    it('when it is itself a root, as istio-ca-secret holds it, also with an empty chain', async () => {
      const material = await open({ ...istio(root, [], [root]), 'cert-chain.pem': '' });
      assert.equal(material.selfSigned, true);
      assert.deepEqual(material.chain, []);
    });

    it('through the symbolic links of a mounted secret that everybody may read, with a warning', async () => {
      mkdirSync(join(folder, '..data'));
      for (const [name, text] of Object.entries(good)) {
        writeFileSync(join(folder, '..data', name), text, { mode: 0o644 });
        symlinkSync(join('..data', name), join(folder, name));
      }
      assert.deepEqual((await open({}, 'mounted')).certificate, issuer.certificate);
      assert.match(logger.text, /warn other users .*everybody may read it/);
    });

    it('ends with the first certificate of its path to end', async () => {
      const shortMiddle = await makeCertificate({ subject: 'CN=short', issuer: root, notAfter: now + 5 * DAY });
      const ca = await makeCertificate({ subject: 'CN=ca', issuer: shortMiddle });
      const material = await open(istio(ca, [shortMiddle], [root]));
      assert.equal(material.notAfter, now + 5 * DAY);
      assert.match(logger.text, /warn the CA ends soon/);
    });

    it('by the path that is still good where another one has expired', async () => {
      const expired = await makeCertificate({
        subject: 'O=acme, CN=middle',
        issuer: root,
        keyPair: middle.keyPair,
        notAfter: now - DAY,
      });
      const material = await open({ ...good, 'cert-chain.pem': pem(expired, middle) });
      assert.deepEqual(material.chain, [issuer.certificate, middle.certificate]);
    });

    it('while a root that is on no path has expired, with a warning', async () => {
      const old = await makeCertificate({ subject: 'CN=old', notAfter: now - DAY });
      const material = await open({ ...good, 'root-cert.pem': pem(old, root) });
      assert.equal(material.roots.length, 2);
      assert.match(logger.text, /warn a root of the bundle has expired.*CN=old/);
    });

    it('under a root of another trust domain', async () => {
      const upstream = await makeCertificate({
        subject: 'CN=upstream',
        extensions: [...caExtensions(), uriNames('spiffe://corporate')],
      });
      const ca = await makeCertificate({ subject: 'CN=ca', issuer: upstream });
      assert.ok(await open(istio(ca, [], [upstream])));
    });

    for (const type of ['EC-P256', 'EC-P384', 'RSA', 'Ed25519'] as const) {
      it(`with a key of type ${type}, and openssl accepts what it signs`, async function () {
        const ca = await makeCertificate({ subject: 'CN=ca', issuer: root, keyPair: await createKeyPair({ type }) });
        const material = await open(istio(ca, [], [root]));
        const sign = serverSigner({ material: () => material, now: () => now, randomBytes });
        const { publicKey } = await createKeyPair();
        const names = { dnsNames: ['localhost'], ipAddresses: [] };
        const chain = await sign({ publicKey, ...names, notAfter: now + 500 * DAY });
        const [leaf = assert.fail()] = chain;
        assert.equal(new X509Certificate(leaf).validToDate.getTime(), material.notAfter, 'it ends with its issuer');

        needTool(this, 'openssl');
        writeFileSync(join(folder, 'leaf.pem'), encodeCertificates(chain));
        const files = ['-CAfile', join(folder, 'root-cert.pem'), '-untrusted', join(folder, 'leaf.pem')];
        const at = ['-attime', String(now / 1_000), '-verify_hostname', 'localhost', '-purpose', 'sslserver'];
        const { code, output } = runTool('openssl', 'verify', ...at, ...files, join(folder, 'leaf.pem'));
        assert.equal(code, 0, output);
      });
    }

    it('as openssl makes one, with PKCS#1 and SEC1 keys and text around the certificates', async function () {
      needTool(this, 'openssl');
      const at = (name: string): string => join(folder, name);
      const run = (...args: string[]): void => {
        const { code, output } = runTool('openssl', ...args);
        assert.equal(code, 0, output);
      };
      run('genrsa', '-traditional', '-out', at('root.key'), '2048');
      run('req', '-x509', '-new', '-key', at('root.key'), '-days', '90', '-subj', '/O=acme/CN=root', '-out', at('r'));
      run('ecparam', '-genkey', '-name', 'prime256v1', '-out', at('ca-key.pem'));
      run('req', '-new', '-key', at('ca-key.pem'), '-subj', '/O=acme/CN=ca', '-out', at('csr'));
      writeFileSync(at('ext'), 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n');
      run('x509', '-req', '-in', at('csr'), '-CA', at('r'), '-CAkey', at('root.key'), '-CAcreateserial', '-days', '60',
        '-extfile', at('ext'), '-text', '-out', at('ca-cert.pem')); // prettier-ignore
      run('x509', '-in', at('r'), '-text', '-out', at('root-cert.pem'));
      const chain = readFileSync(at('ca-cert.pem'), 'utf8') + readFileSync(at('root-cert.pem'), 'utf8');
      writeFileSync(at('cert-chain.pem'), chain);
      chmodSync(at('ca-key.pem'), 0o600);
      const today = new FakeClock(Date.now() + 1_000);
      const material = await openRoots({ folder, trustDomain, clock: today, randomBytes, logger });
      assert.equal(material.chain.length, 1);
      assert.equal(material.privateKey.asymmetricKeyType, 'ec');
    });
  });

  describe('is refused', () => {
    it('when a file is missing, naming it', async () => {
      for (const missing of Object.keys(good)) {
        rmSync(folder, { recursive: true });
        mkdirSync(folder, { mode: 0o700 });
        const { [missing]: _, ...rest } = good;
        await refused(rest, 'ca_files_incomplete', new RegExp(`missing: "${missing}"`));
      }
      rmSync(folder, { recursive: true });
      mkdirSync(folder);
      await refused({ 'tls.crt': pem(issuer) }, 'ca_files_incomplete', /missing: "tls.key, ca.crt"/);
    });

    it('when a folder that should hold it is empty or missing, without making one', async () => {
      for (const pluggedIn of [folder, join(folder, 'none')]) {
        const common = { folder: join(folder, 'state'), trustDomain, clock, randomBytes, logger };
        await assert.rejects(openRoots({ ...common, pluggedIn }), /the folder holds no CA certificate and key/);
      }
      assert.ok(!existsSync(join(folder, 'state')));
    });

    it('when both sets of names are there', () => refused({ ...good, 'tls.crt': 'x' }, 'ca_files_ambiguous'));

    it('when the key belongs to another certificate, also of another kind', async () => {
      const of = (key: string): Files => ({ ...good, 'ca-key.pem': key });
      await refused(of(keyPem(middle)), 'ca_key_mismatch', /ca-key.pem.*ca-cert.pem/);
      const rsa = encodePrivateKey((await createKeyPair({ type: 'RSA' })).privateKey);
      await refused(of(rsa), 'ca_key_mismatch');
    });

    it('when a file does not hold what its name says, naming file and reason', async () => {
      const change = (name: string, text: string): Files => ({ ...good, [name]: text });
      const bad = (name: string, text: string, reason: RegExp): Promise<void> =>
        refused(change(name, text), 'ca_file_malformed', new RegExp(name.replace('.', '\\.')), reason);
      await bad('ca-cert.pem', '', /no certificate/);
      await bad('ca-cert.pem', 'hello', /no certificate/);
      await bad('root-cert.pem', '', /no certificate/);
      await bad('root-cert.pem', pem(root) + pem(root).slice(0, 200), /block 2: it does not end/);
      await bad('cert-chain.pem', keyPem(middle), /block 1: it is a PRIVATE KEY/);
      await bad('ca-key.pem', '', /no PEM block/);
      await bad('ca-key.pem', pem(issuer), /it holds a CERTIFICATE/);
    });

    it('when the key is too weak', async () => {
      const { privateKey } = (await import('node:crypto')).generateKeyPairSync('rsa', { modulusLength: 1024 });
      const weak = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      await refused({ ...good, 'ca-key.pem': weak }, 'ca_file_malformed', /RSA key of 1024 bits/);
    });

    const { KeyUsageFlags, BasicConstraintsExtension, KeyUsagesExtension } = x509;
    const unfit: [string, () => x509.Extension[], RegExp][] = [
      ['it has no extensions', () => [], /not a CA/],
      ['it is a leaf', () => [new BasicConstraintsExtension(false, undefined, true)], /not a CA/],
      ['it has no key usage', () => [new BasicConstraintsExtension(true, undefined, true)], /lacks keyCertSign/],
      [
        'it may sign no certificates',
        () => [
          new BasicConstraintsExtension(true, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature, true),
        ],
        /lacks keyCertSign/,
      ],
    ];
    for (const [what, extensions, reason] of unfit) {
      it(`when ${what}`, async () => {
        const ca = await makeCertificate({ subject: 'CN=ca', issuer: root, extensions: extensions() });
        await refused(istio(ca, [], [root]), 'ca_certificate_unfit', /ca-cert\.pem.*CN=ca/, reason);
      });
    }

    it('when it is signed with SHA-1, unless it is a root', async () => {
      const weak = await makeCertificate({ subject: 'CN=ca', issuer: root, hash: 'SHA-1' });
      await refused(istio(weak, [], [root]), 'ca_certificate_unfit', /CN=ca/, /SHA-1/);
      const old = await makeCertificate({ subject: 'CN=old', hash: 'SHA-1' });
      const ca = await makeCertificate({ subject: 'CN=ca', issuer: old });
      assert.ok(await open(istio(ca, [], [old])));
    });

    it('when an intermediate above it is no CA, or allows none below it', async () => {
      const leaf = await makeCertificate({ subject: 'CN=leaf', issuer: root, extensions: [] });
      const under = await makeCertificate({ subject: 'CN=ca', issuer: leaf });
      await refused(istio(under, [leaf], [root]), 'ca_certificate_unfit', /cert-chain\.pem.*CN=leaf/);
      const last = await makeCertificate({ subject: 'CN=last', issuer: root, extensions: caExtensions(0) });
      const beyond = await makeCertificate({ subject: 'CN=ca', issuer: last });
      await refused(istio(beyond, [last], [root]), 'ca_certificate_unfit', /path length of 0/);
    });

    it('when it or anything above it has expired or is not valid yet, with both times', async () => {
      const late = { subject: 'CN=ca', issuer: root, notAfter: now };
      const said = [/2026-01-01T00:00:00.000Z/, /replace it with a renewed one/];
      await refused(istio(await makeCertificate(late), [], [root]), 'ca_certificate_expired', /ca-cert\.pem/, ...said);
      const early = await makeCertificate({ subject: 'CN=ca', issuer: root, notBefore: now + 1_000 });
      await refused(istio(early, [], [root]), 'ca_certificate_not_yet_valid', /2026-01-01T00:00:01.000Z/);
      const oldRoot = await makeCertificate({ subject: 'CN=old', notAfter: now - DAY });
      const under = await makeCertificate({ subject: 'CN=ca', issuer: oldRoot });
      await refused(istio(under, [], [oldRoot]), 'ca_certificate_expired', /root-cert\.pem.*CN=old/);
    });

    it('when it does not lead to a root', async () => {
      await refused(istio(issuer, [issuer], [root]), 'ca_chain_broken', /ca-cert\.pem.*CN=middle/);
      await refused(istio(issuer, [middle], [stranger]), 'ca_chain_broken');
      const namesake = await makeCertificate({ subject: 'O=acme, CN=root' });
      await refused(istio(issuer, [middle], [namesake]), 'ca_chain_broken');
    });

    it('when the bundle holds what can be no root', async () => {
      const bundle = (...roots: MadeCertificate[]): Files => ({ ...good, 'root-cert.pem': pem(...roots) });
      await refused(bundle(root, middle), 'ca_certificate_unfit', /CN=middle/, /not self-signed/);
      const leaf = await makeCertificate({ subject: 'CN=leaf', extensions: [] });
      await refused(bundle(root, leaf), 'ca_certificate_unfit', /CN=leaf/, /not a CA/);
    });

    it('when it names another trust domain, several, or a workload (invariant 1)', async () => {
      for (const uris of [
        ['spiffe://example.org'],
        ['spiffe://cluster.local', 'spiffe://example.org'],
        ['spiffe://cluster.local', 'spiffe://cluster.local'],
        ['spiffe://cluster.local/ns/a/sa/b'],
        ['https://cluster.local'],
      ]) {
        const extensions = [...caExtensions(), uriNames(...uris)];
        const ca = await makeCertificate({ subject: 'CN=ca', issuer: root, extensions });
        await refused(istio(ca, [], [root]), 'ca_trust_domain_differs', /spiffe:\/\/cluster\.local/);
      }
    });

    it('when everybody may read its key in the folder of the CA', async () => {
      await open(good);
      chmodSync(join(folder, 'ca-key.pem'), 0o644);
      await refused({}, 'ca_file_exposed', /ca-key\.pem.*everybody has rights.*chmod/);
    });

    it('when a file is a folder, a pipe or far too large', async () => {
      const root = join(folder, 'root-cert.pem');
      await open(good);
      rmSync(root);
      mkdirSync(root);
      await refused({}, 'ca_file_unreadable', /root-cert\.pem/);
      rmSync(root, { recursive: true });
      runTool('mkfifo', root);
      await refused({}, 'ca_file_unreadable', /not a regular file/);
      rmSync(root);
      await refused({ 'root-cert.pem': ' '.repeat((1 << 20) + 1) }, 'ca_file_unreadable', /1048577 bytes/);
    });
  });

  it('is found out of a knot of cross-signed certificates without searching for ever', async () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const pairs = await Promise.all(names.map(() => createKeyPair()));
    const bare = await Promise.all(
      names.map((name, index) => makeCertificate({ subject: `CN=${name}`, ...at(pairs, index) })),
    );
    const knot: MadeCertificate[] = [];
    for (const [index, name] of names.entries()) {
      for (const above of bare) {
        knot.push(await makeCertificate({ subject: `CN=${name}`, issuer: above, ...at(pairs, index) }));
      }
    }
    const [ca = assert.fail()] = bare.slice(0, 1);
    const under = await makeCertificate({ subject: 'CN=ca', issuer: ca });
    await refused(istio(under, knot, [root]), 'ca_chain_broken');
  });
});

function at<T>(pairs: readonly T[], index: number): { keyPair: T } {
  return { keyPair: pairs[index] ?? assert.fail() };
}

import { strict as assert } from 'node:assert';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import * as der from '../../src/pki/der/writer.ts';
import { parseCertificate } from '../../src/pki/certificate.ts';
import { OID } from '../../src/pki/oids.ts';
import { encodePem } from '../../src/pki/pem.ts';
import { CatalogMesh, FRONT, type PeerIdentity } from '../fakes/catalog-mesh.ts';
import {
  extension,
  makeCa,
  makeCertificate,
  makeSvid,
  svidExtensions,
  type CertificateOrder,
  type MadeCertificate,
} from '../fakes/certificate-maker.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import type { RunningProxy } from './running-proxy.ts';

const HOUR = 3_600_000;

/** A certificate that somebody shows, with the key for it, and what may be sent behind it. */
interface Shown {
  readonly leaf: MadeCertificate;
  readonly chain?: readonly MadeCertificate[];
}

describe('a peer that is not what it says, at a STRICT sidecar beside the CA', function () {
  this.timeout(60_000);
  let mesh: CatalogMesh;
  let catalog: RunningProxy;
  let front: PeerIdentity;
  /** The very CA of the mesh: what is wrong with its certificates is only what is said of each. */
  let ca: MadeCertificate;

  before(async function () {
    mesh = await CatalogMesh.start({ folder: temporaryFolder(this) });
    catalog = await mesh.sidecar('shop/catalog');
    front = await mesh.svid('shop', 'front');
    const certificate = new X509Certificate(readFileSync(join(mesh.folder, 'ca/ca-cert.pem')));
    const privateKey = createPrivateKey(readFileSync(join(mesh.folder, 'ca/ca-key.pem')));
    const { subject, spki } = parseCertificate(certificate.raw);
    ca = { der: certificate.raw, subject, spki, privateKey, publicKey: createPublicKey(privateKey) };
  });
  beforeEach(() => mesh.seen.splice(0));
  after(() => mesh.stop());

  const now = Date.now();
  const valid = { notBefore: now - HOUR, notAfter: now + HOUR };
  const svid = (uri: string, issuer = ca, more: CertificateOrder = {}): MadeCertificate =>
    makeSvid(uri, issuer, { ...valid, ...more });
  const with_ = (...extensions: Buffer[]): MadeCertificate => svid(FRONT, ca, { extensions });

  /** What comes back for an allowed request; empty where nothing does. */
  const call = async ({ leaf, chain = [] }: Shown, version: 'TLSv1.2' | 'TLSv1.3'): Promise<string> => {
    const cert = [leaf, ...chain].map((each) => encodePem('CERTIFICATE', each.der)).join('');
    const key = leaf.privateKey.export({ type: 'pkcs8', format: 'pem' });
    return answerTo({ key, cert, minVersion: version, maxVersion: version });
  };
  const answerTo = async (tls: ConnectionOptions): Promise<string> => {
    const checkServerIdentity = (): undefined => undefined;
    const socket = connectTls({
      host: mesh.address,
      port: 8080,
      ca: front.rootsPem,
      ALPNProtocols: ['istio'],
      checkServerIdentity,
      ...tls,
    });
    socket.on('error', () => {});
    socket.write('GET /books HTTP/1.1\r\nHost: catalog\r\nConnection: close\r\n\r\n');
    let text = '';
    socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
    await new Promise((resolve) => socket.once('close', resolve));
    return text;
  };

  it('is told from one that is: a certificate of this very CA is let in', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      assert.match(await call({ leaf: svid(FRONT) }, version), /^HTTP\/1\.1 200 /);
    }
  });

  const strangers: Readonly<Record<string, () => Shown>> = {
    'of another trust domain': () => ({ leaf: svid('spiffe://elsewhere.example/ns/shop/sa/front') }),
    'of another root': () => ({ leaf: svid(FRONT, makeCa('stranger', valid)) }),
    'of another root with the name of ours': () => ({
      leaf: svid(FRONT, makeCa('cluster.local', { ...valid, subject: ca.subject })),
    }),
    'self-signed, naming an identity': () => ({
      leaf: makeCertificate({ ...valid, extensions: svidExtensions(FRONT) }),
    }),
    'that brings its own root': () => {
      const root = makeCa('stranger', valid);
      return { leaf: svid(FRONT, root), chain: [root] };
    },
    'issued by a workload': () => {
      const workload = svid('spiffe://cluster.local/ns/shop/sa/other');
      return { leaf: svid(FRONT, workload), chain: [workload] };
    },
    'that has expired': () => ({ leaf: svid(FRONT, ca, { notBefore: now - 2 * HOUR, notAfter: now - 60_000 }) }),
    'that is not valid yet': () => ({ leaf: svid(FRONT, ca, { notBefore: now + HOUR, notAfter: now + 2 * HOUR }) }),
    'that is a CA': () => ({
      leaf: with_(extension.keyUsage(0x86), extension.ca(), extension.uris(FRONT), ...purposes()),
    }),
    'with keyCertSign': () => ({
      leaf: with_(extension.keyUsage(0x84), extension.notCa(), extension.uris(FRONT), ...purposes()),
    }),
    'with two identities': () => ({ leaf: with_(...svidExtensions(FRONT, 'spiffe://cluster.local/ns/shop/sa/admin')) }),
    'with the same identity twice': () => ({ leaf: with_(...svidExtensions(FRONT, FRONT)) }),
    'with an identity and another URI': () => ({ leaf: with_(...svidExtensions(FRONT, 'https://example.org/')) }),
    'without an identity': () => ({
      leaf: with_(extension.keyUsage(0x80), ...purposes(), extension.notCa()),
    }),
    'with a host name only': () => ({
      leaf: with_(
        extension.keyUsage(0x80),
        ...purposes(),
        extension.notCa(),
        extension.names(der.implicit(2, Buffer.from('front.shop'))),
      ),
    }),
    'with the identity of a whole trust domain': () => ({ leaf: svid('spiffe://cluster.local') }),
    'with an identity that is not written as one': () => ({ leaf: svid('spiffe://cluster.local/ns/shop/../sa/front') }),
    'that is for servers alone': () => ({
      leaf: with_(
        extension.keyUsage(0x80),
        extension.purposes(OID.serverAuth),
        extension.notCa(),
        extension.uris(FRONT),
      ),
    }),
  };

  for (const [which, make] of Object.entries(strangers)) {
    it(`is not let in: a certificate ${which} (invariant 8)`, async () => {
      const before = catalog.access.length;
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) assert.equal(await call(make(), version), '', version);
      assert.deepEqual(mesh.seen, []);
      await eventually(() => catalog.access.length >= before + 2);
      for (const line of catalog.access.slice(before)) {
        assert.equal(line['source_principal'] ?? '-', '-', JSON.stringify(line));
        assert.equal(line['response_code'] ?? 0, 0);
      }
    });
  }

  it('is not let in: no certificate (invariant 4)', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      assert.equal(await answerTo({ minVersion: version, maxVersion: version }), '', version);
    }
    assert.deepEqual(mesh.seen, []);
  });

  it('may end what it began with a certificate that has expired since, and begins nothing with it (invariant 9)', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const notAfter = Math.ceil(Date.now() / 1_000) * 1_000 + 2_000;
      const { der: leaf, privateKey } = svid(FRONT, ca, { notAfter });
      const tls: ConnectionOptions = {
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
        cert: encodePem('CERTIFICATE', leaf),
        minVersion: version,
        maxVersion: version,
      };
      const kept = connectTls({
        host: mesh.address,
        port: 8080,
        ca: front.rootsPem,
        ALPNProtocols: ['istio'],
        checkServerIdentity: () => undefined,
        ...tls,
      });
      let [text, session] = ['', undefined as Buffer | undefined];
      kept.on('data', (data: Buffer) => (text += data.toString('latin1')));
      kept.on('session', (data: Buffer) => (session = data));
      const ask = (): unknown => kept.write('GET /books HTTP/1.1\r\nHost: catalog\r\n\r\n');
      ask();
      await eventually(() => text.endsWith('books'));
      session ??= kept.getSession();
      await eventually(() => Date.now() > notAfter + 1_000);
      text = '';
      ask();
      await eventually(() => text.endsWith('books'));
      assert.match(text, /^HTTP\/1\.1 200 /);
      kept.destroy();
      assert.equal(await answerTo(tls), '', `${version}: a new handshake`);
      assert.equal(
        await answerTo({ ...tls, ...(session === undefined ? {} : { session }) }),
        '',
        `${version}: a session`,
      );
    }
  });

  it('leaves the sidecar as it was: the next one is served, and nothing went wrong inside', async () => {
    assert.match(await answerTo({ key: front.keyPem, cert: front.chainPem }), /^HTTP\/1\.1 200 /);
    assert.deepEqual(
      catalog.log.filter(({ level }) => level === 'error'),
      [],
    );
  });
});

function purposes(): Buffer[] {
  return [extension.purposes(OID.serverAuth, OID.clientAuth)];
}

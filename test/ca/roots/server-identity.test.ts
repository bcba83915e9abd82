import { strict as assert } from 'node:assert';
import { randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { inspect } from 'node:util';
import type { CaMaterial } from '../../../ca/roots/ca-material.ts';
import { openRoots } from '../../../ca/roots/open-roots.ts';
import {
  ServerIdentity,
  type ServerCredentials,
  type ServerIdentityOptions,
} from '../../../ca/roots/server-identity.ts';
import { caServerNames } from '../../../ca/roots/server-names.ts';
import type { SignServerCertificate } from '../../../ca/roots/sign-server-certificate.ts';
import { serverSigner } from './server-signer.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { encodeCertificates } from '../../../src/pki/certificate-pem.ts';
import { createKeyPair } from '../../../src/pki/keys.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

const HOUR = 3_600_000;
const names = caServerNames({ namespace: 'sealwright-system', asIstiod: true, ipAddresses: ['10.1.2.3'] });

/** What happens in an identity, in order, so that a test can wait for the next thing instead of for time. */
class Events {
  readonly #waiting: ((event: string) => void)[] = [];
  readonly #past: string[] = [];

  add(event: string): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#past.push(event);
    else next(event);
  }

  next(): Promise<string> {
    const past = this.#past.shift();
    return past === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(past);
  }

  get pending(): number {
    return this.#past.length;
  }
}

describe('the certificate under which the CA is reached', () => {
  let clock: FakeClock;
  let material: CaMaterial;
  let events: Events;
  let logger: RecordingLogger;
  let identity: ServerIdentity | undefined;
  beforeEach(async function () {
    clock = new FakeClock(Date.now());
    logger = new RecordingLogger();
    events = new Events();
    const folder = temporaryFolder(this);
    material = await openRoots({ folder, trustDomain: parseTrustDomain('cluster.local'), clock, randomBytes, logger });
  });
  afterEach(() => identity?.close());

  const signer = (): SignServerCertificate =>
    serverSigner({ material: () => material, now: () => clock.now(), randomBytes });

  const open = async (change: Partial<ServerIdentityOptions> = {}): Promise<ServerIdentity> => {
    identity = await ServerIdentity.open({
      names,
      signServerCertificate: signer(),
      onRenewal: () => events.add('renewed'),
      clock,
      random: () => 0.5,
      logger: { debug: () => {}, info: () => {}, warn: () => {}, error: (text) => events.add(text) },
      ...change,
    });
    return identity;
  };
  const leafOf = ({ certificateChain }: ServerCredentials): X509Certificate => new X509Certificate(certificateChain);
  const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('is good for every name by which clients reach it, over real TLS', async () => {
    const { current } = await open();
    const server = createServer({ cert: current.certificateChain, key: current.privateKey }, (socket) => socket.end());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const ca = encodeCertificates(material.roots);
    const reached: string[] = [];
    for (const servername of ['localhost', 'sealwright-ca.sealwright-system.svc', 'istiod.istio-system.svc']) {
      const client = connect({ host: '127.0.0.1', port, ca, servername });
      await once(client, 'secureConnect');
      assert.ok(client.authorized);
      client.destroy();
      reached.push(servername);
    }
    const other = connect({ host: '127.0.0.1', port, ca, servername: 'catalog.shop.svc' });
    const [error] = (await once(other, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ERR_TLS_CERT_ALTNAME_INVALID');
    server.close();
    await once(server, 'close');
    assert.equal(reached.length, 3);
    for (const ip of ['127.0.0.1', '::1', '10.1.2.3']) assert.equal(leafOf(current).checkIP(ip), ip);
  });

  it('names istiod only when it is told to', () => {
    const plain = caServerNames({ namespace: 'x', asIstiod: false, dnsNames: ['localhost', 'ca.example'] });
    assert.deepEqual(plain.dnsNames, ['localhost', 'sealwright-ca.x.svc', 'ca.example']);
    assert.deepEqual(plain.ipAddresses, ['127.0.0.1', '::1']);
    assert.ok(names.dnsNames.includes('istiod.istio-system.svc'));
  });

  it('is renewed at half of its life, with a new key and serial, and tells so', async () => {
    const identity = await open();
    const first = identity.current;
    assert.equal(
      first.notAfter,
      Math.floor((clock.now() + 24 * HOUR) / 1_000) * 1_000 - 1_000,
      'its last second counts',
    );
    clock.advance(11 * HOUR);
    await tick();
    assert.equal(identity.current, first);
    clock.advance(2 * HOUR);
    assert.equal(await events.next(), 'renewed');
    const second = identity.current;
    assert.notEqual(second.privateKey, first.privateKey);
    assert.notEqual(leafOf(second).serialNumber, leafOf(first).serialNumber);
    assert.ok(second.notAfter > first.notAfter);
    clock.advance(12 * HOUR);
    assert.equal(await events.next(), 'renewed');
  });

  it('stays in use while renewal fails, which is tried again for ever', async () => {
    let failing = false;
    let tries = 0;
    const sign = signer();
    const identity = await open({
      signServerCertificate: (order) => {
        tries += 1;
        return failing ? Promise.reject(new Error('no signer')) : sign(order);
      },
    });
    const first = identity.current;
    failing = true;
    clock.advance(12 * HOUR);
    for (let failure = 1; failure <= 20; failure += 1) {
      assert.match(await events.next(), /was not renewed/);
      assert.equal(identity.current, first);
      assert.equal(tries, failure + 1);
      await tick();
      clock.advance(60_000);
    }
    failing = false;
    assert.match(await events.next(), /was not renewed|renewed/);
    clock.advance(60_000);
    while (identity.current === first) await events.next();
    assert.notEqual(identity.current, first);
  });

  it('is tried again, ever more slowly, where whoever is told of it fails', async () => {
    await open({
      random: () => 1,
      onRenewal: () => {
        throw new Error('not taken');
      },
    });
    clock.advance(12 * HOUR);
    const delays: number[] = [];
    for (let failure = 0; failure < 4; failure += 1) {
      assert.match(await events.next(), /was not renewed/);
      await tick();
      delays.push((clock.nextDue ?? 0) - clock.now());
      clock.advance(delays.at(-1) ?? 0);
    }
    assert.deepEqual(delays, [1_000, 2_000, 4_000, 8_000]);
  });

  it('is renewed at once on demand, as after a rotation, and calls that meet share one', async () => {
    const identity = await open();
    const first = identity.current;
    const [one, two] = await Promise.all([identity.renew(), identity.renew()]);
    assert.equal(one, two);
    assert.equal(identity.current, one);
    assert.notEqual(one, first);
    assert.equal(events.pending, 1);
  });

  it('is never signed under an expired CA, and ends no later than the CA', async () => {
    clock = new FakeClock(material.notAfter - HOUR);
    const { current } = await open();
    assert.equal(current.notAfter, material.notAfter);
    clock.advance(HOUR);
    await assert.rejects(open(), (error) => error instanceof SealwrightError && error.code === 'validity_impossible');
  });

  it('is renewed no more than once a minute at the end of the CA', async () => {
    clock = new FakeClock(material.notAfter - 30_000);
    await open();
    assert.equal(clock.nextDue, material.notAfter + 30_000);
  });

  it('is not renewed any more once it is closed', async () => {
    const identity = await open();
    const first = identity.current;
    const renewal = identity.renew();
    identity.close();
    await renewal;
    assert.equal(identity.current, first);
    assert.equal(clock.nextDue, undefined);
    assert.equal(events.pending, 0);
  });

  it('is refused when a signer answers for another key, other names, or nothing', async () => {
    const sign = signer();
    const other = await createKeyPair();
    const outdated: SignServerCertificate = async (order) => {
      const answered = await sign({ ...order, notAfter: clock.now() + HOUR });
      clock.advance(2 * HOUR);
      return answered;
    };
    const answers: [SignServerCertificate, RegExp][] = [
      [(order) => sign({ ...order, publicKey: other.publicKey }), /another key/],
      [(order) => sign({ ...order, dnsNames: ['localhost'] }), /lacks the name sealwright-ca/],
      [(order) => sign({ ...order, ipAddresses: [] }), /lacks the address 127.0.0.1/],
      [outdated, /already expired/],
      [() => Promise.resolve([]), /no certificate/],
    ];
    for (const [signServerCertificate, reason] of answers) {
      await assert.rejects(open({ signServerCertificate }), (error) => {
        assert.ok(error instanceof SealwrightError && error.code === 'server_certificate_unfit');
        return reason.test(error.message);
      });
    }
  });

  it('shows no key where it is written out as JSON or logged (invariant 2)', async () => {
    const { current } = await open();
    const [, line = assert.fail()] = current.privateKey.split('\n');
    assert.ok(!JSON.stringify(current).includes(line));
    assert.match(JSON.stringify(current), /redacted/);
    assert.ok(!inspect(identity, { depth: 5 }).includes(line));
  });
});

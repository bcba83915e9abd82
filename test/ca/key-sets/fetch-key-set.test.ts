import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createKeySetFetcher } from '../../../ca/key-sets/fetch-key-set.ts';
import { createAddressGuard, type Resolve } from '../../../src/token/address-guard.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { testKey } from '../../fakes/tokens.ts';
import { realClock } from '../../fakes/real-clock.ts';

describe('the fetching of keys that policies name', () => {
  const key = testKey('issuer');
  const keySet = JSON.stringify({ keys: [{ ...key.jwk, d: 'c2VjcmV0' }] });
  let server: Server;
  let port: number;
  let asked: string[];
  let answer: RequestListener;

  beforeEach(async () => {
    asked = [];
    answer = (_request, response) => response.end(keySet);
    server = createServer((request, response) => {
      asked.push(request.url ?? '');
      answer(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });

  afterEach(() => server.close());

  const fetcher = (allowed: readonly string[], resolve?: Resolve, timeout = 2_000) =>
    createKeySetFetcher({ guard: createAddressGuard(allowed, resolve), timeout, clock: realClock });
  const refusal = async (fetching: Promise<string>): Promise<string> => {
    const error: unknown = await fetching.then(
      () => assert.fail('it was fetched'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof SealwrightError, String(error));
    return `${error.code} ${JSON.stringify(error.fields)}`;
  };
  const at = (host: string, path = '/keys'): { kind: 'address'; url: string } => ({
    kind: 'address',
    url: `http://${host}:${port}${path}`,
  });

  it('takes a set from an allowed address, and leaves what is private in it behind (invariant 2)', async () => {
    const text = await fetcher(['127.0.0.0/8'])(at('127.0.0.1', '/keys?tenant=a'));
    assert.deepEqual(JSON.parse(text), { keys: [key.jwk] });
    assert.deepEqual(asked, ['/keys?tenant=a']);
  });

  for (const host of ['127.0.0.1', '2130706433', '0x7f.1', '[::ffff:127.0.0.1]', 'localhost']) {
    it(`calls nothing at ${host}, which is no public address`, async () => {
      assert.match(await refusal(fetcher([])(at(host))), /jwks_unreachable/);
      assert.deepEqual(asked, []);
    });
  }

  it('judges the addresses that a name leads to, all of them, and not the name', async () => {
    const resolve: Resolve = (_name, done) =>
      done(null, [
        { address: '127.0.0.1', family: 4 },
        { address: '169.254.169.254', family: 4 },
      ]);
    assert.match(await refusal(fetcher(['127.0.0.1'], resolve)(at('keys.example.org'))), /not one of those allowed/);
    assert.deepEqual(asked, []);
    const one: Resolve = (_name, done) => done(null, [{ address: '127.0.0.1', family: 4 }]);
    await fetcher(['127.0.0.1'], one)(at('keys.example.org'));
    assert.deepEqual(asked, ['/keys']);
  });

  it('follows no redirect', async () => {
    answer = (_request, response) => response.writeHead(302, { location: `http://127.0.0.1:${port}/other` }).end();
    assert.match(await refusal(fetcher(['127.0.0.1'])(at('127.0.0.1'))), /redirects are not followed/);
    assert.deepEqual(asked, ['/keys']);
  });

  it('ends where an answer is too large, too late, or no key set', async () => {
    answer = (_request, response) => response.end(Buffer.alloc(300 * 1024, 'x'));
    assert.match(await refusal(fetcher(['127.0.0.1'])(at('127.0.0.1'))), /larger than/);
    answer = (_request, response) => response.end('{"keys": 5}');
    assert.match(await refusal(fetcher(['127.0.0.1'])(at('127.0.0.1'))), /jwks_invalid/);
    answer = () => undefined;
    assert.match(await refusal(fetcher(['127.0.0.1'], undefined, 50)(at('127.0.0.1'))), /no whole answer/);
    server.closeAllConnections();
  });

  it('finds the keys of an issuer by its discovery document, which must name that very issuer', async () => {
    const issuer = `http://127.0.0.1:${port}/realm`;
    let named = issuer;
    answer = (request, response) => {
      const discovery = request.url === '/realm/.well-known/openid-configuration';
      response.end(discovery ? JSON.stringify({ issuer: named, jwks_uri: `http://127.0.0.1:${port}/certs` }) : keySet);
    };
    const place = { kind: 'discovery', issuer } as const;
    assert.deepEqual(JSON.parse(await fetcher(['127.0.0.1'])(place)), { keys: [key.jwk] });
    assert.deepEqual(asked, ['/realm/.well-known/openid-configuration', '/certs']);
    named = `${issuer}2`;
    assert.match(await refusal(fetcher(['127.0.0.1'])(place)), /oidc_issuer_mismatch/);
  });

  it('calls public addresses alone, and those in plaintext only where they are listed', () => {
    const guard = createAddressGuard(['10.1.2.3', 'fd00:1::/64']);
    const refused = (address: string, plaintext = false) => guard.refusal(address, plaintext) !== undefined;
    for (const address of ['8.8.8.8', '2606:4700::1111', '10.1.2.3', 'fd00:1::5', '::ffff:10.1.2.3']) {
      assert.equal(refused(address), false, address);
    }
    for (const address of [
      '0.0.0.0',
      '10.0.0.1',
      '100.100.100.200',
      '127.0.0.1',
      '168.63.129.16',
      '169.254.169.254',
      '172.31.0.1',
      '192.168.1.1',
      '255.255.255.255',
      '::',
      '::1',
      '::ffff:169.254.169.254',
      '::ffff:a9fe:a9fe',
      '64:ff9b::a9fe:a9fe',
      '2002:a9fe:a9fe::1',
      'fe80::1',
      'fd00:ec2::254',
      'ff02::1',
    ]) {
      assert.equal(refused(address), true, address);
    }
    assert.equal(refused('8.8.8.8', true), true);
    assert.equal(refused('10.1.2.3', true), false);
  });
});

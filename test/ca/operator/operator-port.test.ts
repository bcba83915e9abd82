import { strict as assert } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request, type RequestOptions } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { CertificateAuthenticator } from '../../../ca/authenticators/authenticator.ts';
import { createKubernetesOperators, OPERATOR_AUDIENCE } from '../../../ca/operator/kubernetes-operators.ts';
import { createListedOperators } from '../../../ca/operator/listed-operators.ts';
import { createOperatorApp, type ForbiddenOperation } from '../../../ca/operator/operator-app.ts';
import { createOperatorAuthentication } from '../../../ca/operator/operator-authentication.ts';
import { serveOperatorPort, type OperatorPort, type OperatorPortOptions } from '../../../ca/operator/operator-port.ts';
import type { Operation } from '../../../ca/operator/operation.ts';
import { OperatorClient } from '../../../src/cli/operator-client.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import type { AccessQuestion, ReviewedUser } from '../../../src/kubernetes/subject-access-review.ts';
import type { TokenReviewAnswer } from '../../../src/kubernetes/token-review-status.ts';
import { eventually } from '../../fakes/eventually.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { serviceAccountClaims, signToken, testKey } from '../../fakes/tokens.ts';
import { createTestAuthority, selfSigned, type Issued, type TestAuthority } from '../../wire/certificates.ts';

const ALICE = 'spiffe://cluster.local/ns/ops/sa/alice';
const VIEWER = 'spiffe://cluster.local/ns/ops/sa/dashboard';
const MALLORY = 'spiffe://cluster.local/ns/ops/sa/mallory';

const failsWith = (code: ErrorCode, text: RegExp) => (error: unknown) =>
  error instanceof SealwrightError && error.code === code && text.test(error.message);

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

describe('the operator API over TLS', () => {
  let authority: TestAuthority;
  let own: Issued;
  const clusterKey = testKey('cluster');
  const logger = new RecordingLogger();
  let port: OperatorPort;
  let ran: string[];
  let forbidden: ForbiddenOperation[];
  let strangers: string[];
  /** What the API server answers, and what it was asked. */
  let reviewed: string[];
  let review: (token: string) => Promise<TokenReviewAnswer>;
  let asked: { user: ReviewedUser; question: AccessQuestion }[];
  let allowed: (user: ReviewedUser, question: AccessQuestion) => boolean;

  const operations: Operation[] = [
    {
      name: 'thing.act',
      method: 'POST',
      path: '/v1/things',
      role: 'operator',
      summary: 'Acts.',
      run: async (input, actor) => {
        ran.push(`act ${input.text('what') ?? ''} by ${actor.name}`);
        return { by: actor.name };
      },
    },
    {
      name: 'thing.list',
      method: 'GET',
      path: '/v1/things',
      role: 'viewer',
      summary: 'Lists.',
      run: async (_input, actor) => {
        ran.push(`list by ${actor.name}`);
        return { by: actor.name };
      },
    },
  ];

  const token = (more: Record<string, unknown> = {}): string =>
    signToken(clusterKey, serviceAccountClaims(Date.now(), { aud: [OPERATOR_AUDIENCE], ...more }));

  /** Certificates by their URI, as verification and ledger would judge them. */
  const certificate: CertificateAuthenticator = {
    name: 'svid',
    identify: () => undefined,
    authenticate: async ([leaf]) => {
      const name = new X509Certificate(leaf!).subjectAltName?.replace(/^URI:/, '') ?? '';
      const identity = SpiffeId.parse(name);
      if (name.endsWith('/by-agent')) {
        return {
          kind: 'refused',
          by: 'svid',
          code: 'renewal_impersonated',
          reason: 'was given to an agent',
          identity,
        };
      }
      return { kind: 'granted', caller: { identity, method: 'svid', tokenAuthenticatedAt: 0, credential: 'serial:1' } };
    },
  };

  const start = async (more: Partial<OperatorPortOptions> = {}, withTokens = true): Promise<void> => {
    const authenticate = createOperatorAuthentication({
      tokens: withTokens
        ? createKubernetesOperators({
            reviewToken: (text) => {
              reviewed.push(text);
              return review(text);
            },
            reviewAccess: async (user, question) => {
              asked.push({ user, question });
              return { allowed: allowed(user, question), reason: '' };
            },
            clock: { now: Date.now },
            logger,
            mostReviews: 4,
            mostReviewsOfOne: 2,
          })
        : undefined,
      certificates: createListedOperators({ certificate, operators: [ALICE], viewers: [VIEWER] }),
      onStranger: (code) => strangers.push(code),
      logger,
    });
    port = await serveOperatorPort({
      host: '127.0.0.1',
      port: 0,
      tls: { certificateChain: own.chain, privateKey: own.key, roots: authority.root },
      authenticate,
      appFor: (access) => createOperatorApp({ operations, access, onForbidden: (one) => forbidden.push(one), logger }),
      logger,
      ...more,
    });
  };

  const client = (
    by: { token?: string; identity?: Issued } = { token: token() },
    more: { roots?: string } = {},
  ): OperatorClient =>
    new OperatorClient({
      host: '127.0.0.1',
      port: port.port,
      roots: more.roots ?? authority.root,
      token: by.token,
      identity:
        by.identity === undefined ? undefined : { certificateChain: by.identity.chain, privateKey: by.identity.key },
    });

  /** One request with whatever a stranger likes to send. */
  const raw = async (options: RequestOptions, body = ''): Promise<Answer> => {
    const call = request({ host: '127.0.0.1', port: port.port, ca: authority.root, agent: false, ...options });
    call.end(body);
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    const pieces: Buffer[] = [];
    for await (const piece of response) pieces.push(piece as Buffer);
    return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces).toString() };
  };

  before(async () => {
    authority = await createTestAuthority();
    own = await authority.issue({ dns: ['localhost'], ip: ['127.0.0.1'] });
  });
  beforeEach(async () => {
    [ran, forbidden, strangers, reviewed, asked] = [[], [], [], [], []];
    review = async () => ({
      authenticated: true,
      username: 'system:serviceaccount:ops:alice',
      uid: 'uid-1',
      groups: ['system:serviceaccounts'],
      extra: new Map([['authentication.kubernetes.io/credential-id', ['JTI=1']]]),
      audiences: [OPERATOR_AUDIENCE],
    });
    allowed = () => true;
    await start();
  });
  afterEach(() => port.close());

  it('runs what a role lets the owner of a token do, and asks about exactly that', async () => {
    assert.deepEqual(await client().get('/v1/things'), { by: 'kubernetes:system:serviceaccount:ops:alice' });
    assert.deepEqual(await client().post('/v1/things', { what: 'it' }), {
      by: 'kubernetes:system:serviceaccount:ops:alice',
    });
    const group = 'operator.sealwright.io';
    assert.deepEqual(
      asked.map(({ question }) => question),
      [
        { group, resource: 'operations', name: 'thing.list', verb: 'get' },
        { group, resource: 'operations', name: 'thing.act', verb: 'create' },
      ],
    );
    const [{ user } = assert.fail()] = asked;
    assert.deepEqual(
      [user.username, user.uid, user.groups],
      ['system:serviceaccount:ops:alice', 'uid-1', ['system:serviceaccounts']],
    );
    assert.deepEqual([...user.extra], [['authentication.kubernetes.io/credential-id', ['JTI=1']]]);
  });

  it('refuses what no role allows, tells who was refused, and runs nothing', async () => {
    allowed = (_user, { verb }) => verb === 'get';
    assert.ok(await client().get('/v1/things'));
    await assert.rejects(client().post('/v1/things', {}), failsWith('operator_refused', /for operators/));
    assert.deepEqual(ran, ['list by kubernetes:system:serviceaccount:ops:alice']);
    assert.equal(forbidden.length, 1);
    assert.deepEqual(
      [forbidden[0]?.actor, forbidden[0]?.operation],
      ['kubernetes:system:serviceaccount:ops:alice', 'thing.act'],
    );
    assert.match(forbidden[0]?.reason ?? '', /no role allows create of operations.operator.sealwright.io/);
  });

  it('asks anew for each call, so that a role that is lost is lost at once', async () => {
    const same = client({ token: token() });
    await same.get('/v1/things');
    allowed = () => false;
    await assert.rejects(same.get('/v1/things'), failsWith('operator_refused', /operators/));
    review = async () => ({ authenticated: false, error: 'deleted' });
    await assert.rejects(same.get('/v1/things'), failsWith('operator_refused', /who is asking/));
  });

  it('gives all strangers one and the same answer, whatever they ask for and whatever was wrong', async () => {
    const now = Math.floor(Date.now() / 1_000);
    const bearer = (text: string): RequestOptions => ({ headers: { authorization: `Bearer ${text}` } });
    review = async () => ({ authenticated: false, error: 'unknown' });
    const mallory = await authority.issue({ uri: MALLORY });
    const tries: RequestOptions[] = [
      {},
      { path: '/v1/things' },
      { path: '/v1/nothing' },
      { path: '/v1/things', method: 'POST' },
      { path: '/v1/things', method: 'DELETE' },
      { path: '/v1/things', ...bearer('not.a.token') },
      { path: '/v1/things', ...bearer(token()) },
      { path: '/v1/things', ...bearer(token({ aud: ['istio-ca'] })) },
      { path: '/v1/things', ...bearer(token({ aud: [] })) },
      { path: '/v1/things', ...bearer(token({ iat: now - 7_200, nbf: now - 7_200, exp: now - 3_600 })) },
      { path: '/v1/things', headers: { authorization: 'Basic YTpi' } },
      { path: '/v1/things', cert: mallory.chain, key: mallory.key },
    ];
    const answers: Answer[] = [];
    for (const one of tries) answers.push(await raw(one));
    const [first] = answers;
    assert.equal(first?.status, 401);
    assert.match(first.body, /operator_unauthenticated/);
    for (const { status, body } of answers) assert.deepEqual([status, body], [401, first.body]);
    assert.equal(strangers.length, tries.length);
    assert.deepEqual(forbidden, []);
    assert.deepEqual(ran, []);
  });

  it('sends no token to the API server that is for another audience, has expired, or is none', async () => {
    const now = Math.floor(Date.now() / 1_000);
    for (const text of [
      'x',
      token({ aud: ['istio-ca'] }),
      token({ aud: ['https://kubernetes.default.svc.cluster.local'] }),
      token({ iat: now - 7_200, nbf: now - 7_200, exp: now - 3_600 }),
    ]) {
      await assert.rejects(client({ token: text }).get('/v1/things'), failsWith('operator_refused', /who is asking/));
    }
    assert.deepEqual(reviewed, []);
    assert.deepEqual(strangers, ['token_malformed', 'token_audience', 'token_audience', 'token_expired']);
  });

  it('believes no answer that does not name our audience, or names nobody', async () => {
    const good = await review('');
    assert.ok(good.authenticated);
    for (const answer of [
      { ...good, audiences: [] },
      { ...good, audiences: ['istio-ca'] },
      { ...good, username: '' },
      { ...good, username: 'a'.repeat(201) },
    ]) {
      review = async () => answer;
      await assert.rejects(client().get('/v1/things'), failsWith('operator_refused', /who is asking/));
    }
    assert.deepEqual(asked, []);
  });

  it('is unavailable, and refuses nobody, while the API server cannot be asked', async () => {
    const unreachable = () => Promise.reject(new SealwrightError('kubernetes_unreachable', { reason: 'away' }));
    review = unreachable;
    await assert.rejects(client().get('/v1/things'), (error) => {
      assert.ok(error instanceof SealwrightError);
      // What the command line prints instead of a sentence about a CA that would not run.
      assert.match(String(error.fields['said']), /^nobody can judge/);
      return error.code === 'operator_unreachable';
    });
    review = async () => {
      const answer = { authenticated: true, username: 'a', uid: '', groups: [], extra: new Map() } as const;
      return { ...answer, audiences: [OPERATOR_AUDIENCE] };
    };
    allowed = () => {
      throw new SealwrightError('kubernetes_unreachable', { reason: 'away' });
    };
    await assert.rejects(client().get('/v1/things'), failsWith('operator_unreachable', /nobody can judge/));
    assert.deepEqual([strangers, forbidden, ran], [[], [], []]);
  });

  it('reviews so many tokens at once, fewer of one address, and has the others come again', async () => {
    const good = await review('');
    const { promise, resolve } = Promise.withResolvers<TokenReviewAnswer>();
    review = () => promise;
    const ask = async (localAddress: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token()}` };
      return (await raw({ path: '/v1/things', headers, localAddress })).status;
    };
    const waiting = [ask('127.0.0.2'), ask('127.0.0.2')];
    await eventually(() => reviewed.length === 2);
    assert.equal(await ask('127.0.0.2'), 503);
    waiting.push(ask('127.0.0.3'), ask('127.0.0.4'));
    await eventually(() => reviewed.length === 4);
    assert.equal(await ask('127.0.0.5'), 503);
    resolve({ authenticated: false, error: '' });
    assert.deepEqual(await Promise.all(waiting), [401, 401, 401, 401]);
    review = async () => good;
    assert.equal(await ask('127.0.0.2'), 200);
  });

  it('lets listed identities in by their certificate, each by its role', async () => {
    const alice = { identity: await authority.issue({ uri: ALICE }) };
    assert.deepEqual(await client(alice).post('/v1/things', {}), { by: `svid:${ALICE}` });
    const viewer = { identity: await authority.issue({ uri: VIEWER }) };
    assert.deepEqual(await client(viewer).get('/v1/things'), { by: `svid:${VIEWER}` });
    await assert.rejects(client(viewer).post('/v1/things', {}), failsWith('operator_refused', /for operators/));
    assert.deepEqual(
      forbidden.map(({ actor }) => actor),
      [`svid:${VIEWER}`],
    );
  });

  it('lets no certificate in that is not listed, or that may not be renewed either', async () => {
    for (const uri of [MALLORY, `${ALICE}2`, 'spiffe://cluster.local/ns/ops/sa/by-agent']) {
      const identity = await authority.issue({ uri });
      await assert.rejects(client({ identity }).get('/v1/things'), failsWith('operator_refused', /who is asking/));
    }
    assert.deepEqual(strangers, ['operator_unlisted', 'operator_unlisted', 'renewal_impersonated']);
  });

  it('closes the connection of a forged or expired certificate, even with a good token (invariant 5)', async () => {
    const foreign = await createTestAuthority();
    for (const identity of [
      await selfSigned(ALICE),
      await foreign.issue({ uri: ALICE }),
      // Of the same name as ours, signed by somebody else.
      await (await createTestAuthority({ name: authority.name })).issue({ uri: ALICE }),
      await authority.issue({ uri: ALICE, expired: true }),
    ]) {
      await assert.rejects(
        client({ identity, token: token() }).get('/v1/things'),
        failsWith('operator_unreachable', /ECONNRESET|socket hang up/),
      );
    }
    assert.deepEqual([reviewed, strangers, ran], [[], [], []]);
  });

  it('judges the token where both are shown, and makes up for a bad one by no certificate', async () => {
    const identity = await authority.issue({ uri: ALICE });
    const both = { identity, token: token({ aud: ['istio-ca'] }) };
    await assert.rejects(client(both).get('/v1/things'), failsWith('operator_refused', /who is asking/));
  });

  it('refuses two credentials in one request', async () => {
    const answer = await raw({
      path: '/v1/things',
      headers: ['host', 'x', 'authorization', `Bearer ${token()}`, 'authorization', `Bearer ${token()}`],
    });
    assert.equal(answer.status, 401);
    assert.match(answer.body, /operator_unauthenticated/);
    assert.deepEqual([ran, reviewed, strangers], [[], [], ['token_malformed']]);
  });

  it('runs nothing for a web page that sends a form with the certificate of its reader', async () => {
    const alice = await authority.issue({ uri: ALICE });
    const page = { path: '/v1/things', method: 'POST', cert: alice.chain, key: alice.key };
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', undefined]) {
      const headers = type === undefined ? {} : { 'content-type': type };
      const { status, body } = await raw({ ...page, headers }, '{"what":"evil"}');
      assert.equal(status, 400, body);
      assert.match(body, /application\/json/);
    }
    assert.deepEqual(ran, []);
  });

  it('takes bodies up to a limit, and reads none of a stranger', async () => {
    await assert.rejects(
      client().post('/v1/things', { what: 'x'.repeat(300_000) }),
      failsWith('operator_refused', /too large/),
    );
    const { status } = await raw({ path: '/v1/things', method: 'POST' }, 'x'.repeat(10_000));
    assert.equal(status, 401);
    assert.deepEqual(ran, []);
  });

  it('shows no token in its log (invariant 2)', async () => {
    review = async () => ({ authenticated: false, error: 'no' });
    const shown = token();
    await assert.rejects(client({ token: shown }).get('/v1/things'));
    assert.ok(!logger.text.includes(shown));
    assert.ok(!logger.text.includes(shown.split('.')[1] ?? '-'));
  });

  it('is verified by its caller, who otherwise sends no token', async () => {
    const other = await createTestAuthority();
    await assert.rejects(client({ token: token() }, { roots: other.root }).get('/v1/things'), (error) => {
      assert.ok(error instanceof SealwrightError);
      assert.match(error.message, /name the root-cert\.pem of this CA with --ca-root/);
      return error.code === 'operator_unverified';
    });
    assert.deepEqual(reviewed, []);
  });

  it('uses another certificate from then on, and other roots', async () => {
    const next = await createTestAuthority();
    const renewed = await next.issue({ dns: ['localhost'], ip: ['127.0.0.1'] });
    port.setTls({ certificateChain: renewed.chain, privateKey: renewed.key, roots: next.root });
    const identity = await next.issue({ uri: ALICE });
    assert.ok(await client({ identity }, { roots: next.root }).get('/v1/things'));
    const former = await authority.issue({ uri: ALICE });
    await assert.rejects(client({ identity: former }, { roots: next.root }).get('/v1/things'));
  });

  describe('under strangers who open and say nothing', () => {
    const idle: (Socket | TLSSocket)[] = [];
    afterEach(() => {
      for (const socket of idle.splice(0)) socket.destroy();
    });
    const silent = async (): Promise<Socket> => {
      const socket = connectTcp(port.port, '127.0.0.1');
      socket.on('error', () => undefined);
      idle.push(socket);
      await once(socket, 'connect');
      return socket;
    };

    it('ends the oldest of them for a new connection, and never one on which an operator was allowed something', async () => {
      await port.close();
      await start({ maxConnections: 3 });
      const proven = connectTls({ port: port.port, host: '127.0.0.1', ca: authority.root });
      idle.push(proven);
      await once(proven, 'secureConnect');
      const ask = async (): Promise<string> => {
        proven.write(`GET /v1/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token()}\r\n\r\n`);
        const [data] = (await once(proven, 'data')) as [Buffer];
        return data.toString();
      };
      assert.match(await ask(), /^HTTP\/1.1 200/);
      const first = await silent();
      const ended = once(first, 'close');
      await silent();
      await silent();
      await ended;
      for (let i = 0; i < 5; i += 1) await silent();
      assert.match(await ask(), /^HTTP\/1.1 200/);
      assert.ok(await client().get('/v1/things'));
    });

    describe('or have a token, and no role or few rights', () => {
      const TENANT = 'system:serviceaccount:tenant:default';
      /** Which user each token is of; all others are Alice's. */
      const users = new Map<string, string>();
      beforeEach(async () => {
        users.clear();
        const good = await review('');
        review = async (text) => ({ ...good, username: users.get(text) ?? 'system:serviceaccount:ops:alice' });
        allowed = (user, { verb }) =>
          user.username !== TENANT && (verb === 'get' || user.username === 'system:serviceaccount:ops:alice');
        await port.close();
        await start({ maxConnections: 8 });
      });
      const tokenOf = (username: string): string => {
        const text = token({ jti: username });
        users.set(text, username);
        return text;
      };
      /** Asks, keeps the connection, and answers the connection with the head of the answer. */
      const hold = async (text: string, asks = 'GET /v1/things'): Promise<{ socket: TLSSocket; head: string }> => {
        const socket = connectTls({ port: port.port, host: '127.0.0.1', ca: authority.root });
        socket.on('error', () => undefined);
        idle.push(socket);
        await once(socket, 'secureConnect');
        socket.write(`${asks} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${text}\r\n\r\n`);
        const [data] = (await once(socket, 'data')) as [Buffer];
        socket.resume();
        return { socket, head: data.toString() };
      };
      const stillServes = async (socket: TLSSocket, text: string): Promise<void> => {
        socket.write(`GET /v1/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${text}\r\n\r\n`);
        const [data] = (await once(socket, 'data')) as [Buffer];
        assert.match(data.toString(), /^HTTP\/1.1 200/);
      };

      it('lets no tenant without a role hold a connection', async () => {
        const tenant = tokenOf(TENANT);
        for (let i = 0; i < 8; i += 1) {
          const { socket, head } = await hold(tenant);
          assert.match(head, /^HTTP\/1.1 403/);
          assert.match(head, /\r\nconnection: close\r\n/i);
          if (!socket.closed) await once(socket, 'close');
        }
        assert.ok(await client().get('/v1/things'));
      });

      it('keeps no connection for who is known and was allowed nothing', async () => {
        const tenant = tokenOf(TENANT);
        // Nothing is refused here either, so that the connections stay.
        for (let i = 0; i < 8; i += 1) assert.match((await hold(tenant, 'GET /v1/nothing')).head, /^HTTP\/1.1 404/);
        assert.ok(await client().get('/v1/things'));
      });

      it('keeps some connections of a viewer, and takes the others for an operator', async () => {
        const viewer = tokenOf('viewer');
        const held: TLSSocket[] = [];
        for (let i = 0; i < 8; i += 1) held.push((await hold(viewer)).socket);
        const ended = once(held[1] ?? assert.fail(), 'close');
        const alice = token();
        const { socket, head } = await hold(alice);
        assert.match(head, /^HTTP\/1.1 200/);
        await ended;
        // Neither the one that is kept of the viewer nor Alice's goes for those that follow.
        for (let i = 0; i < 9; i += 1) await hold(viewer);
        await stillServes(held[0] ?? assert.fail(), viewer);
        await stillServes(socket, alice);
      });

      it('has room for an operator however many viewers there are', async () => {
        for (let i = 0; i < 8; i += 1) assert.match((await hold(tokenOf(`viewer-${i}`))).head, /^HTTP\/1.1 200/);
        assert.ok(await client().get('/v1/things'));
      });

      it('keeps a connection no longer once its role is lost', async () => {
        const viewer = tokenOf('viewer');
        const { socket } = await hold(viewer);
        const closed = once(socket, 'close');
        socket.write(
          `POST /v1/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${viewer}\r\ncontent-length: 0\r\n\r\n`,
        );
        await closed;
        assert.equal(forbidden.length, 1);
      });
    });

    it('gives up handshakes and heads that are never whole', async () => {
      await port.close();
      await start({ headTimeout: 300 });
      const handshake = await silent();
      await once(handshake, 'close');
      const head = connectTls({ port: port.port, host: '127.0.0.1', ca: authority.root });
      idle.push(head);
      head.on('error', () => undefined);
      await once(head, 'secureConnect');
      head.write('GET /v1/things HTTP/1.1\r\nhost: x\r\nx-slow: ');
      head.resume();
      await once(head, 'close');
      assert.deepEqual(ran, []);
    });
  });

  it('lets in by certificate alone where no API server judges tokens', async () => {
    await port.close();
    await start({}, false);
    await assert.rejects(client().get('/v1/things'), failsWith('operator_refused', /who is asking/));
    const identity = await authority.issue({ uri: ALICE });
    assert.ok(await client({ identity }).get('/v1/things'));
  });
});

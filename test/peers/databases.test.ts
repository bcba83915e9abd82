import { strict as assert } from 'node:assert';
import { connect } from 'node:net';
import { once } from 'node:events';
import { eventually } from '../fakes/eventually.ts';
import { TestMesh } from '../fakes/mesh-certificates.ts';
import { needDatabase, runClient, startDatabase, type DatabaseKind } from '../fakes/running-database.ts';
import { service, sidecarConfig, TestBook, workload } from '../proxy/sidecar-world.ts';
import { TestSidecar } from '../proxy/test-sidecar.ts';

const HOST = 'database.shop.svc.cluster.local';
const KEY = `shop/${HOST}`;
/** Of this process alone, so that databases can keep their usual ports. */
const NETWORK = `127.${1 + (process.pid % 250)}.${1 + (Math.trunc(process.pid / 250) % 250)}`;

type Protocol = 'tcp' | 'auto';

/** A database, its sidecar, and the sidecar of whoever calls it. */
interface Pair {
  /** Where the database itself is, and where the caller's sidecar takes calls to it. */
  readonly places: { readonly direct: [string, number]; readonly meshed: [string, number] };
  allow(rule: object): Promise<void>;
  readonly server: TestSidecar;
  stop(): Promise<void>;
}

async function startPair(port: number, protocol: Protocol): Promise<Pair> {
  const mesh = await TestMesh.create();
  const allowing = (rule: object) =>
    sidecarConfig({
      workload: workload({ name: 'database', address: `${NETWORK}.3`, services: { [KEY]: { 80: port } } }),
      rootsPem: mesh.rootPem,
      inbound: [
        {
          address: `${NETWORK}.3`,
          port,
          mode: 'STRICT',
          protocol,
          endpoint: { kind: 'tcp', host: `${NETWORK}.2`, port },
        },
      ],
      policies: { callers: { action: 'ALLOW', rules: [rule] } },
    });
  const server = await TestSidecar.start({
    config: allowing(callers('front', port)),
    identity: await mesh.issue('spiffe://cluster.local/ns/shop/sa/database'),
  });
  const book = new TestBook();
  const fields = { name: 'database', address: `${NETWORK}.3`, services: { [KEY]: { 80: port } } };
  book.set(HOST, { kind: 'service', service: service(HOST, [80]), workloads: [workload(fields)] });
  const caller = await TestSidecar.start({
    config: sidecarConfig({
      workload: workload({ name: 'front', address: `${NETWORK}.4` }),
      rootsPem: mesh.rootPem,
      outbound: [{ to: [KEY], protocol }],
    }),
    identity: await mesh.issue('spiffe://cluster.local/ns/shop/sa/front'),
    book,
  });
  return {
    places: { direct: [`${NETWORK}.2`, port], meshed: [`${NETWORK}.4`, caller.outboundPort()] },
    allow: (rule) => server.reconfigure(allowing(rule)),
    server,
    stop: async () => {
      await caller.close();
      await server.close();
    },
  };
}

function callers(account: string, port: number): object {
  return {
    from: [{ source: { principals: [`cluster.local/ns/shop/sa/${account}`] } }],
    to: [{ operation: { ports: [`${port}`] } }],
  };
}

function suite(kind: DatabaseKind, port: number, define: (pair: (protocol: Protocol) => Promise<Pair>) => void): void {
  describe(`${kind} behind two sidecars`, function () {
    this.timeout(90_000);
    let database: { stop(): Promise<void> } | undefined;
    const pairs: Pair[] = [];
    before(async function () {
      needDatabase(this, kind);
      database = await startDatabase(kind, { host: `${NETWORK}.2`, port });
    });
    afterEach(async () => {
      for (const pair of pairs.splice(0)) await pair.stop();
    });
    after(async () => database?.stop());
    define(async (protocol) => {
      const pair = await startPair(port, protocol);
      pairs.push(pair);
      return pair;
    });
  });
}

/** Runs the same client against the database itself and through the mesh: both must say the same. */
async function same(
  pair: Pair,
  program: string,
  args: (host: string, port: string) => readonly string[],
  input = '',
): Promise<string> {
  const direct = await runClient(program, args(pair.places.direct[0], `${pair.places.direct[1]}`), input);
  const meshed = await runClient(program, args(pair.places.meshed[0], `${pair.places.meshed[1]}`), input);
  assert.equal(direct.code, 0, direct.errors);
  assert.deepEqual(meshed, direct);
  return meshed.output;
}

for (const protocol of ['tcp', 'auto'] as const) {
  suite('redis', 6379, (start) => {
    const cli = (host: string, port: string): string[] => ['-h', host, '-p', port];

    it(`answers redis-cli the same, long values too (declared ${protocol})`, async () => {
      const pair = await start(protocol);
      const value = 'sealwright '.repeat(100_000);
      const script = `SET long "${value}"\nGET long\nRPUSH list ${'a b c '.repeat(200)}\nLRANGE list 0 -1\nDEL list long\n`;
      const said = await same(pair, 'redis-cli', cli, script);
      assert.ok(said.includes(value));
    });

    it(`stands its benchmark, pipelined and on 20 connections (declared ${protocol})`, async () => {
      const pair = await start(protocol);
      const [host, port] = pair.places.meshed;
      const load = ['-t', 'set,get,lrange_100', '-n', '2000', '-c', '20', '-P', '8', '-d', '200', '-q'];
      const { code, output, errors } = await runClient('redis-benchmark', [...cli(host, `${port}`), ...load]);
      assert.equal(code, 0, errors);
      assert.match(output, /GET: [\d.]+ requests per second/);
      assert.doesNotMatch(output + errors, /error/i);
    });
  });

  suite('postgresql', 5432, (start) => {
    const psql =
      (sslmode: string, ...more: string[]) =>
      (host: string, port: string): string[] => [
        `host=${host} port=${port} user=tester dbname=postgres sslmode=${sslmode}`,
        '-X',
        '-A',
        '-t',
        '-q',
        '-v',
        'ON_ERROR_STOP=1',
        ...more,
      ];

    for (const [sslmode, encrypted] of [
      ['disable', 'f'],
      ['require', 't'],
    ] as const) {
      it(`answers psql the same with sslmode=${sslmode} (declared ${protocol})`, async () => {
        const pair = await start(protocol);
        const script = [
          'CREATE TEMP TABLE books (id int, title text);',
          `COPY books FROM STDIN;\n${Array.from({ length: 5_000 }, (_, id) => `${id}\ttitle ${id}`).join('\n')}\n\\.`,
          'SELECT count(*), sum(id), md5(string_agg(title, $$,$$ ORDER BY id)) FROM books;',
          'SELECT repeat(md5(n::text), 50) FROM generate_series(1, 2000) n;',
          'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();',
        ].join('\n');
        const said = await same(pair, 'psql', psql(sslmode), script);
        assert.ok(said.length > 2000 * 50 * 32);
        assert.equal(said.trimEnd().split('\n').at(-1), encrypted);
      });
    }

    it(`stands pgbench (declared ${protocol})`, async () => {
      const pair = await start(protocol);
      const [host, port] = pair.places.meshed;
      const to = ['-h', host, '-p', `${port}`, '-U', 'tester', 'postgres'];
      const made = await runClient('pgbench', ['-i', '-q', '-s', '1', ...to]);
      assert.equal(made.code, 0, made.errors);
      const { code, output, errors } = await runClient('pgbench', ['-c', '4', '-t', '50', ...to]);
      assert.equal(code, 0, errors);
      assert.match(output, /number of transactions actually processed: 200\/200/);
      assert.match(output, /number of failed transactions: 0 /);
    });

    it(`is kept from others, and a policy that changes ends what is open (declared ${protocol})`, async () => {
      const pair = await start(protocol);
      const [host, port] = pair.places.meshed;
      const sleeping = runClient('psql', [...psql('disable', '-c', 'SELECT pg_sleep(60)')(host, `${port}`)]);
      await eventually(async () => (await pair.server.series('istio_tcp_connections_opened_total'))[0]?.value === 1);
      for (const rule of [callers('other', 5432), callers('front', 5433)]) {
        await pair.allow(rule);
        const refused = await runClient('psql', psql('disable', '-c', 'SELECT 1')(host, `${port}`));
        assert.equal(refused.code, 2, refused.output);
        assert.match(refused.errors, /closed the connection unexpectedly|reset by peer/);
      }
      const ended = await sleeping;
      assert.notEqual(ended.code, 0);
      await pair.allow(callers('front', 5432));
      const again = await runClient('psql', psql('disable', '-c', 'SELECT 1')(host, `${port}`));
      assert.deepEqual([again.code, again.output], [0, '1\n'], again.errors);
    });
  });

  suite('mariadb', 3306, (start) => {
    const client = (host: string, port: string): string[] => [
      '--no-defaults',
      '--skip-ssl',
      '-h',
      host,
      '-P',
      port,
      '-u',
      'root',
      '-N',
      '-B',
    ];

    it(`answers its client the same (declared ${protocol})`, async () => {
      const pair = await start(protocol);
      const rows = Array.from({ length: 3_000 }, (_, id) => `(${id}, REPEAT('title ${id} ', 20))`).join(', ');
      const script = [
        'CREATE DATABASE IF NOT EXISTS shop; USE shop; DROP TABLE IF EXISTS books;',
        'CREATE TABLE books (id INT PRIMARY KEY, title TEXT);',
        `INSERT INTO books VALUES ${rows};`,
        'SELECT * FROM books ORDER BY id; SELECT MD5(GROUP_CONCAT(id)) FROM books;',
        "SELECT REPEAT('x', 4000000);",
      ].join('\n');
      const said = await same(pair, 'mariadb', client, script);
      assert.ok(said.length > 4_000_000);
    });

    it(`greets, as the first to speak, without a stall (declared ${protocol})`, async () => {
      const pair = await start(protocol);
      const waits: number[] = [];
      for (let calls = 0; calls < 5; calls += 1) {
        const [host, port] = pair.places.meshed;
        const socket = connect({ host, port });
        const begin = performance.now();
        const [greeting] = (await once(socket, 'data')) as [Buffer];
        waits.push(performance.now() - begin);
        socket.destroy();
        // MySQL's protocol version 10, then the server's own version.
        assert.match(greeting.subarray(4).toString('latin1'), /^\n[\d.]+.*MariaDB/);
      }
      // Two sidecars, each of which listens for 50 ms whether the client speaks first, where nothing says TCP.
      const best = Math.min(...waits);
      assert.ok(best < (protocol === 'tcp' ? 50 : 400), `${best} ms`);
    });
  });
}

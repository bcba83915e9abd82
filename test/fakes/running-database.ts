import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

export type DatabaseKind = 'redis' | 'postgresql' | 'mariadb';

/** The programs of each, and the words by which it says that it serves. */
const KINDS: Readonly<Record<DatabaseKind, { readonly programs: readonly string[]; readonly ready: string }>> = {
  redis: { programs: ['redis-server', 'redis-cli', 'redis-benchmark'], ready: 'Ready to accept connections' },
  postgresql: {
    programs: ['initdb', 'postgres', 'psql', 'pgbench'],
    ready: 'database system is ready to accept connections',
  },
  mariadb: { programs: ['mariadb-install-db', 'mariadbd', 'mariadb'], ready: 'ready for connections' },
};

export interface ProgramResult {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Skips where the machine lacks one of the programs, loudly; fails where CI is to have everything. */
export function needDatabase(context: Mocha.Context, kind: DatabaseKind): void {
  const missing = KINDS[kind].programs.filter((program) => find(program) === undefined);
  if (missing.length === 0) return;
  const sentence = `${missing.join(', ')} not on this machine, so what passes between ${kind} and its clients was not tested`;
  if (process.env['CI'] !== undefined && process.env['CI'] !== '') throw new Error(sentence);
  console.warn(`\n  SKIPPED: ${sentence}\n`);
  context.skip();
}

/** Runs a client to its end, while this process goes on to serve. */
export async function runClient(program: string, args: readonly string[], input = ''): Promise<ProgramResult> {
  const child = spawn(find(program) ?? program, args, { env: { ...process.env, LC_ALL: 'C' } });
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output, errors };
}

/** A real database at `host` and `port`, with a folder of its own, ended by `stop`. */
export async function startDatabase(
  kind: DatabaseKind,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<{ stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), `sealwright-${kind}-`));
  const data = join(folder, 'data');
  mkdirSync(data, { mode: 0o700 });
  const [program, args] = prepare(kind, { folder, data, host, port });
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: folder });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const listen = (text: Buffer): void => {
      said = (said + text.toString()).slice(-10_000);
      if (said.includes(KINDS[kind].ready)) resolve();
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.once('error', reject);
    child.once('close', () => reject(new Error(`${kind} ended: ${said}`)));
  });
  return {
    stop: async () => {
      const closed = once(child, 'close');
      // PostgreSQL takes SIGINT for "now, and in order"; the others too.
      child.kill('SIGINT');
      const impatient = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await closed;
      clearTimeout(impatient);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Place {
  readonly folder: string;
  readonly data: string;
  readonly host: string;
  readonly port: number;
}

function prepare(kind: DatabaseKind, place: Place): [string, string[]] {
  const { data, host, port, folder } = place;
  if (kind === 'redis') {
    return [
      find('redis-server') ?? '',
      ['--bind', host, '--port', `${port}`, '--dir', data, '--save', '', '--appendonly', 'no'],
    ];
  }
  if (kind === 'mariadb') {
    const user = process.getuid?.() === 0 ? ['--user=root'] : [];
    run(find('mariadb-install-db') ?? '', [
      '--no-defaults',
      `--datadir=${data}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      ...user,
    ]);
    const socket = join(folder, 'socket');
    const network = [`--bind-address=${host}`, `--port=${port}`, `--socket=${socket}`, '--skip-name-resolve'];
    const grants = ['--skip-grant-tables', '--skip-networking=0', `--pid-file=${join(folder, 'pid')}`];
    return [find('mariadbd') ?? '', ['--no-defaults', `--datadir=${data}`, ...network, ...grants, ...user]];
  }
  const [certificate, key] = [join(folder, 'server.crt'), join(folder, 'server.key')];
  run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '1',
    '-subj',
    '/CN=database',
    '-keyout',
    key,
    '-out',
    certificate,
  ]);
  // It does not run as root at all.
  const root = process.getuid?.() === 0;
  const [program = '', ...lead] = root
    ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', find('postgres') ?? '']
    : [find('postgres') ?? ''];
  if (root) run('chown', ['-R', 'postgres:postgres', folder]);
  const initdb = ['-D', data, '-U', 'tester', '-A', 'trust', '--no-sync', '--locale=C', '-E', 'UTF8'];
  if (root) run(program, [...lead.slice(0, -1), find('initdb') ?? '', ...initdb]);
  else run(find('initdb') ?? '', initdb);
  const settings = [
    `listen_addresses=${host}`,
    `unix_socket_directories=${folder}`,
    'fsync=off',
    'ssl=on',
    `ssl_cert_file=${certificate}`,
    `ssl_key_file=${key}`,
  ].flatMap((setting) => ['-c', setting]);
  return [program, [...lead, '-D', data, '-p', `${port}`, ...settings]];
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr, stdout, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} failed: ${stderr}${stdout}`);
}

/** On the PATH, or where Debian keeps what not everybody is to find: PostgreSQL's server, and daemons. */
function find(program: string): string | undefined {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).map((version) => join(root, version, 'bin')) : [];
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', ...versions];
  return folders.map((folder) => join(folder, program)).find((file) => existsSync(file));
}

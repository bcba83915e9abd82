import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { skipNotTested } from './not-tested.ts';

export interface Machine {
  /** Of the network namespace. */
  readonly name: string;
  /** Words that run a program there, which becomes that program. */
  readonly inside: readonly string[];
  readonly address: string;
  readonly address6: string;
}

let networks = 0;

/**
 * Machines on one network, each a network namespace of its own, with a hub that they all reach. All that is made is named
 * after this process and taken away by `remove`.
 */
export class NetworkNamespaces {
  /** The last number of an address says which machine it is. */
  readonly hub: Machine;
  readonly #prefix: string;
  readonly #subnet: number;
  readonly #names: string[] = [];

  /** @param subnet the third number of its addresses: networks that the machine itself can reach must differ in it */
  constructor(subnet = 0) {
    networks += 1;
    this.#subnet = subnet;
    this.#prefix = `sw${process.pid}n${networks}`;
    this.hub = this.#machine('hub', 1);
    this.#add(this.hub);
    ip('-n', this.hub.name, 'link', 'add', 'br0', 'type', 'bridge');
    this.#address(this.hub, 'br0');
  }

  /** @param number the last one of its addresses, from 2 */
  add(name: string, number: number): Machine {
    const machine = this.#machine(name, number);
    this.#add(machine);
    const [inside, outside] = ['eth0', `v${number}`];
    ip('link', 'add', inside, 'netns', machine.name, 'type', 'veth', 'peer', 'name', outside, 'netns', this.hub.name);
    ip('-n', this.hub.name, 'link', 'set', outside, 'master', 'br0', 'up');
    this.#address(machine, inside);
    // Addresses of services lead nowhere, as on a cluster: interception takes them before they do.
    ip('-n', machine.name, 'route', 'add', 'default', 'via', this.hub.address);
    ip('-n', machine.name, '-6', 'route', 'add', 'default', 'via', this.hub.address6);
    return machine;
  }

  remove(): void {
    for (const name of this.#names.splice(0)) spawnSync('ip', ['netns', 'del', name]);
  }

  #machine(name: string, number: number): Machine {
    const full = `${this.#prefix}-${name}`;
    const inside = ['ip', 'netns', 'exec', full];
    const address6 = this.#subnet === 0 ? `fd77::${number}` : `fd77:${this.#subnet}::${number}`;
    return { name: full, inside, address: `10.77.${this.#subnet}.${number}`, address6 };
  }

  #add({ name }: Machine): void {
    ip('netns', 'add', name);
    this.#names.push(name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }

  #address({ name, address, address6 }: Machine, link: string): void {
    ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', link);
    // Without the second that it takes to find out that nobody else has it.
    ip('-n', name, 'addr', 'add', `${address6}/64`, 'dev', link, 'nodad');
    ip('-n', name, 'link', 'set', link, 'up');
  }
}

/** Runs a program on a machine to its end. */
export async function runOn(
  { inside }: Pick<Machine, 'inside'>,
  ...words: readonly string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawnOn({ inside }, ...words);
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (stderr += data.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

export function spawnOn({ inside }: Pick<Machine, 'inside'>, ...words: readonly string[]): ChildProcess {
  const [program = '', ...args] = [...inside, ...words];
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Skips what runs, loudly, where there can be no network namespaces with rules; fails it where CI is to have them. */
export function needNetworkNamespaces(context: Mocha.Context): void {
  const title = context.test?.fullTitle() ?? '';
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    console.warn(`\n  NOT TESTED: ${title}: network namespaces need root on Linux\n`);
    context.skip();
  }
  for (const [program, ...args] of [
    ['ip', '-V'],
    ['iptables', '-V'],
    ['ip6tables', '-V'],
    ['nft', '-v'],
    ['setpriv', '-V'],
    ['curl', '-V'],
  ] as const) {
    const { error, status } = spawnSync(program, args, { stdio: 'ignore' });
    if (error !== undefined || status !== 0) skipNotTested(context, `${title}: ${program} is not on this machine`);
  }
  const lacking = missingInKernel();
  if (lacking !== undefined) skipNotTested(context, `${title}: ${lacking}`);
}

/** What the kernel lacks, in its own words. */
function missingInKernel(): string | undefined {
  const name = `sw${process.pid}probe`;
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (made.status !== 0) return `ip netns add: ${made.stderr}`;
  try {
    for (const rule of [
      'iptables -t nat -A OUTPUT -p tcp -m owner ! --uid-owner 1 -j REDIRECT --to-ports 1',
      'ip6tables -t nat -A OUTPUT -p tcp -m owner ! --uid-owner 1 -j REDIRECT --to-ports 1',
      'iptables -t mangle -A PREROUTING -p tcp -j TPROXY --on-port 1 --tproxy-mark 1',
      'iptables -t mangle -A PREROUTING -m conntrack --ctstate ESTABLISHED -j CONNMARK --save-mark',
    ]) {
      const { status, stderr } = spawnSync('ip', ['netns', 'exec', name, ...rule.split(' ')], { encoding: 'utf8' });
      if (status !== 0) return `the kernel refused "${rule}": ${stderr}`;
    }
    return undefined;
  } finally {
    spawnSync('ip', ['netns', 'del', name]);
  }
}

function ip(...words: string[]): void {
  const { status, stderr } = spawnSync('ip', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr}`);
}

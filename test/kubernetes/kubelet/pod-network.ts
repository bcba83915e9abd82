import { spawnSync } from 'node:child_process';
import { NetworkNamespaces, type Machine } from '../../fakes/network-namespaces.ts';

/** What the root namespace sees of a network of its own is kept apart from that of other runs by the third number. */
const FIRST_SUBNET = 100;
const SUBNETS = 150;

/**
 * Addresses for pods, each in a network namespace of its own, which the machine reaches and which reach it: an API server
 * that listens at `host` serves them. Nothing leads further.
 */
export class PodNetwork {
  /** The machine's own address as pods see it. */
  readonly host: string;
  readonly #namespaces: NetworkNamespaces;
  readonly #link: string;
  #last = 10;

  constructor() {
    // Two runs at once take different ones, or the second is told by the kernel that the route exists.
    const subnet = FIRST_SUBNET + (process.pid % SUBNETS);
    this.#namespaces = new NetworkNamespaces(subnet);
    this.host = `10.77.${subnet}.254`;
    this.#link = `swh${process.pid}`;
    try {
      const { name } = this.#namespaces.hub;
      ip('link', 'add', this.#link, 'type', 'veth', 'peer', 'name', 'host', 'netns', name);
      ip('-n', name, 'link', 'set', 'host', 'master', 'br0', 'up');
      ip('addr', 'add', `${this.host}/24`, 'dev', this.#link);
      ip('link', 'set', this.#link, 'up');
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** A namespace with an address that no other pod of this run has had. */
  add(): Machine {
    this.#last += 1;
    return this.#namespaces.add(`pod${this.#last}`, this.#last);
  }

  remove(): void {
    // The other end goes with its namespace; this is for one that was not made whole.
    spawnSync('ip', ['link', 'del', this.#link]);
    this.#namespaces.remove();
  }
}

function ip(...words: string[]): void {
  const { status, stderr } = spawnSync('ip', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr}`);
}

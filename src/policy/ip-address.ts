import { isIPv4, isIPv6 } from 'node:net';

/**
 * An IP address, read once. An IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`, as a dual-stack socket reports its
 * peer) is the IPv4 address: otherwise every IPv4 rule could be got round.
 */
export interface IpAddress {
  readonly family: 4 | 6;
  /** 32 bits each, unsigned, most significant first: one for IPv4, four for IPv6. */
  readonly words: readonly number[];
  readonly text: string;
}

/** Reads an address without a zone; nothing if it is none. */
export function parseIpAddress(text: string): IpAddress | undefined {
  if (isIPv4(text)) return Object.freeze({ family: 4, words: [wordOf(text)], text });
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const words = wordsOf(text);
  const [first, second, third, last = 0] = words;
  if (first === 0 && second === 0 && third === 0xffff) return Object.freeze({ family: 4, words: [last], text });
  return Object.freeze({ family: 6, words, text });
}

/** An IPv4 address in dots, already checked, as one number. */
function wordOf(text: string): number {
  return text.split('.').reduce((word, part) => word * 256 + Number(part), 0);
}

/** An IPv6 address, already checked, as four numbers. */
function wordsOf(text: string): number[] {
  const [head = '', tail] = text.split('::');
  const front = groupsOf(head);
  const back = tail === undefined ? [] : groupsOf(tail);
  const gap = tail === undefined ? 0 : 8 - front.length - back.length;
  const groups = [...front, ...Array.from({ length: gap }, () => 0), ...back];
  return [0, 2, 4, 6].map((index) => (groups[index] ?? 0) * 0x10000 + (groups[index + 1] ?? 0));
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const word = wordOf(group);
    return [Math.floor(word / 0x10000), word % 0x10000];
  });
}

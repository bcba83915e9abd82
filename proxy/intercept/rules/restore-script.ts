import { CHAINS, type CaptureTable } from './capture-rules.ts';

/** Every chain that is ours, of whatever options an earlier installation had. */
const OURS: ReadonlySet<string> = new Set(Object.values(CHAINS));

/** What stands of ours in one table. */
interface Standing {
  readonly chains: readonly string[];
  /** Rules of the kernel's and others' chains that lead to ours. */
  readonly jumps: readonly string[];
}

/**
 * What `iptables-restore --noflush` is to be told so that exactly these rules of ours stand, whatever stood before: each table
 * changes in one step, and nothing in it is touched but what is ours. Empty where nothing is to be done.
 *
 * @param saved what `iptables-save` says stands now
 * @param wanted none, to remove all
 */
export function restoreScript(saved: string, wanted: readonly CaptureTable[]): string {
  const standing = readStanding(saved);
  const names = [...new Set([...standing.keys(), ...wanted.map(({ name }) => name)])].sort();
  return names
    .map((name) => {
      const { chains, jumps } = standing.get(name) ?? { chains: [], jumps: [] };
      const table = wanted.find((each) => each.name === name);
      const own = table?.chains ?? [];
      const gone = chains.filter((chain) => !own.includes(chain));
      return [
        `*${name}`,
        // Naming a chain makes it, or empties the one that is there.
        ...own.map((chain) => `:${chain} - [0:0]`),
        ...jumps.map((jump) => jump.replace(/^-A /, '-D ')),
        ...gone.map((chain) => `-F ${chain}`),
        ...gone.map((chain) => `-X ${chain}`),
        ...(table?.rules ?? []),
        'COMMIT',
        '',
      ].join('\n');
    })
    .join('');
}

function readStanding(saved: string): Map<string, Standing> {
  const tables = new Map<string, { chains: string[]; jumps: string[] }>();
  let table: { chains: string[]; jumps: string[] } = { chains: [], jumps: [] };
  for (const line of saved.split('\n')) {
    const [word = '', chain = ''] = line.split(' ');
    if (word.startsWith('*')) {
      table = { chains: [], jumps: [] };
      tables.set(word.slice(1), table);
    } else if (word.startsWith(':') && OURS.has(word.slice(1))) {
      table.chains.push(word.slice(1));
    } else if (word === '-A' && !OURS.has(chain)) {
      const target = / -[jg] (\S+)/.exec(line)?.[1];
      if (target !== undefined && OURS.has(target)) table.jumps.push(line);
    }
  }
  for (const [name, { chains, jumps }] of tables) if (chains.length + jumps.length === 0) tables.delete(name);
  return tables;
}

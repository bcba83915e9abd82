import { parseArgs } from 'node:util';
import { reasonOf } from '../../src/core/errors.ts';
import { NotMeasurable, type Figure } from './figure.ts';
import type { RegisteredFigure } from './figures.ts';

export interface BenchSurroundings {
  readonly figures: Readonly<Record<string, RegisteredFigure>>;
  readonly stdout: (line: string) => void;
  readonly stderr: (line: string) => void;
  readonly writeFile: (path: string, text: string) => void;
}

/** The form of `--json`, for whoever compares runs. */
export interface FigureRecord {
  readonly ours: number;
  readonly peer: number | null;
  readonly ratio: number | null;
  readonly unit: string;
  readonly peerName: string | null;
}

/**
 * `npm run bench [-- NAME… --json FILE]`: takes the named figures, or all, one after the other. Resolves to the exit
 * code: 0 good, 1 where a figure could not be taken, 2 for wrong usage.
 */
export async function runBench(args: readonly string[], surroundings: BenchSurroundings): Promise<number> {
  const { figures, stdout, stderr, writeFile } = surroundings;
  const asked = readArguments(args);
  const unknown = 'wrong' in asked ? [] : asked.names.filter((name) => !Object.hasOwn(figures, name));
  if ('wrong' in asked || unknown.length > 0) {
    stderr('wrong' in asked ? asked.wrong : `no such figure: ${unknown.join(', ')}`);
    stderr('usage: npm run bench -- [NAME…] [--json FILE], where NAME is one of');
    for (const line of listing(figures)) stderr(line);
    return 2;
  }
  const names = asked.names.length > 0 ? [...new Set(asked.names)] : Object.keys(figures);
  const taken = new Map<string, Figure>();
  const untaken: string[] = [];
  for (const name of names) {
    const figure = figures[name];
    if (figure === undefined) continue;
    stderr(`${name}: ${figure.what} …`);
    try {
      const measure = await figure.load();
      taken.set(name, await measure((line) => stderr(`  ${line}`)));
    } catch (error) {
      const why = error instanceof NotMeasurable ? error.message : `it failed: ${reasonOf(error)}`;
      untaken.push(`${name} was not measured: ${why}`);
    }
  }
  for (const line of tableOf(taken)) stdout(line);
  for (const line of untaken) stdout(line);
  if (asked.json !== undefined) {
    const records = Object.fromEntries([...taken].map(([name, figure]) => [name, recordOf(figure)]));
    writeFile(asked.json, `${JSON.stringify(records, null, 2)}\n`);
  }
  return untaken.length === 0 ? 0 : 1;
}

function readArguments(
  args: readonly string[],
): { readonly names: readonly string[]; readonly json: string | undefined } | { readonly wrong: string } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { json: { type: 'string' } },
      allowPositionals: true,
    });
    return { names: positionals, json: values.json };
  } catch (error) {
    return { wrong: reasonOf(error) };
  }
}

function listing(figures: BenchSurroundings['figures']): string[] {
  const width = Math.max(...Object.keys(figures).map((name) => name.length));
  return Object.entries(figures).map(([name, { what }]) => `  ${name.padEnd(width)}  ${what}`);
}

function recordOf({ ours, peer, unit, peerName }: Figure): FigureRecord {
  return { ours, peer, ratio: peer === null ? null : ours / peer, unit, peerName };
}

function tableOf(taken: ReadonlyMap<string, Figure>): string[] {
  if (taken.size === 0) return [];
  const rows = [['figure', 'ours', 'peer', 'ratio', 'unit', 'the peer']];
  const below: string[] = [];
  for (const [name, figure] of taken) {
    const { ours, peer, ratio, unit, peerName } = recordOf(figure);
    rows.push([
      name,
      shown(ours),
      peer === null ? '-' : shown(peer),
      ratio === null ? '-' : ratio.toFixed(2),
      unit,
      peerName ?? `none: ${figure.peerAbsent ?? 'not said why'}`,
    ]);
    for (const note of figure.notes ?? []) below.push(`${name}: ${note}`);
  }
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column >= 1 && column <= 3 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return below.length === 0 ? lines : [...lines, '', ...below];
}

/** Three digits that mean something; more would be this machine's mood. */
function shown(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toPrecision(3);
}

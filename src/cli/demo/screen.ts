import { styleText } from 'node:util';
import type { CommandContext } from '../command.ts';

export type Tone = 'plain' | 'good' | 'bad' | 'dim' | 'bold';
/** A piece of text, and how it is meant. */
export type Cell = string | { readonly text: string; readonly tone: Tone };

const STYLES: Readonly<Record<Tone, Parameters<typeof styleText>[0] | undefined>> = {
  plain: undefined,
  good: 'green',
  bad: 'red',
  dim: 'dim',
  bold: 'bold',
};

/** The terminal that a person reads the demo at; colours only there, and not where NO_COLOR asks for none. */
export class Screen {
  readonly #context: CommandContext;
  readonly #coloured: boolean;
  readonly #start: number;

  constructor(context: CommandContext) {
    this.#context = context;
    // https://no-color.org: present and not empty.
    this.#coloured = context.terminal && (context.env['NO_COLOR'] ?? '') === '';
    this.#start = performance.now();
  }

  /** Seconds since the start. */
  get elapsed(): number {
    return (performance.now() - this.#start) / 1000;
  }

  heading(text: string): void {
    const time = `${this.elapsed.toFixed(1)} s`;
    this.line();
    this.line({ text: text.padEnd(WIDTH - time.length), tone: 'bold' }, { text: time, tone: 'dim' });
  }

  line(...cells: readonly Cell[]): void {
    this.#context.stdout(`${cells.map((cell) => this.#styled(cell, textOf(cell))).join('')}\n`);
  }

  /** Aligned columns, two spaces apart; what does not fit into the last goes on below. */
  table(headings: readonly string[], rows: readonly (readonly Cell[])[]): void {
    const titles = headings.map((text): Cell => ({ text, tone: 'dim' }));
    const widths = headings.map((_, column) =>
      Math.max(...[titles, ...rows].map((row) => textOf(row[column] ?? '').length)),
    );
    const left = widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 2);
    for (const row of [titles, ...rows]) {
      const cell = row.at(-1) ?? '';
      const [first = '', ...rest] = folded(textOf(cell), Math.max(WIDTH - left, 20));
      const before = row
        .slice(0, -1)
        .map((each, column) => this.#styled(each, textOf(each).padEnd(widths[column] ?? 0)));
      this.#context.stdout(`  ${[...before, this.#styled(cell, first)].join('  ')}\n`);
      for (const text of rest) this.#context.stdout(`${' '.repeat(left)}${this.#styled(cell, text)}\n`);
    }
  }

  #styled(cell: Cell, text: string): string {
    const style = typeof cell === 'string' ? undefined : STYLES[cell.tone];
    return this.#coloured && style !== undefined ? styleText(style, text, { validateStream: false }) : text;
  }
}

/** Columns that fit into every terminal. */
const WIDTH = 100;

const textOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell.text);

/** At spaces; a word that is wider has a line of its own. */
function folded(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

import { Option, type Command } from 'commander';
import { stringifyYaml } from '../../config/stringify-yaml.ts';
import { renderTable } from './table.ts';

/** A column of a listing. A `wide` one is shown by `-o wide` only. */
export interface Column<Row> {
  readonly heading: string;
  readonly cell: (row: Row) => string;
  readonly wide?: boolean;
}

const FORMATS = ['table', 'wide', 'json', 'yaml'] as const;
export type ListingFormat = (typeof FORMATS)[number];

/** Gives a listing command its `-o table|wide|json|yaml`. */
export function addOutputOption(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'how to print').choices(FORMATS).default('table' satisfies ListingFormat),
  );
}

/** Rows for a person as a table, for a program as JSON or YAML: the rows themselves, nothing left out. */
export function renderListing<Row>(
  format: ListingFormat,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): string {
  if (format === 'json') return `${JSON.stringify(rows, null, 2)}\n`;
  if (format === 'yaml') return stringifyYaml(rows);
  const shown = columns.filter((column) => column.wide !== true || format === 'wide');
  return renderTable(
    shown.map((column) => column.heading),
    rows.map((row) => shown.map((column) => column.cell(row))),
  );
}

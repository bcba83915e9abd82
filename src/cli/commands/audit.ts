import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { CheckFailed, type CommandContext } from '../command.ts';
import { openOperator } from '../open-operator.ts';
import { addStateOptions } from '../settings-options.ts';

/** `sealwright audit verify|export`: the ledger, checked without trusting the CA that wrote it. */
export function configure(command: Command, context: CommandContext): void {
  const verify = command
    .command('verify')
    .description('recompute the whole ledger and compare it with every tree head that was signed')
    .argument('[file]', 'an export to verify instead of the running CA');
  addStateOptions(verify);
  verify.action(async (file: string | undefined, options: Record<string, unknown>) => {
    const lines =
      file === undefined
        ? openOperator(options, context).lines('/v1/ledger/export')
        : createInterface({ input: createReadStream(resolve(context.folder, file)), crlfDelay: Infinity });
    const { verifyExport } = await import('../../../ca/ledger/verify-export.ts');
    const report = await verifyExport(lines);
    for (const finding of report.findings) context.stdout(`FAILED  ${finding}\n`);
    const { entries, issuances, heads, rootHash } = report;
    context.stdout(
      `${report.findings.length === 0 ? 'good' : 'bad'}: ${entries} entries (${issuances} certificates), ${heads} signed tree heads, root hash ${rootHash}\n`,
    );
    if (report.findings.length > 0) throw new CheckFailed();
  });

  const write = command
    .command('export')
    .description('print the ledger as lines of JSON, for "audit verify" elsewhere');
  addStateOptions(write);
  write.action(async (options: Record<string, unknown>) => {
    for await (const line of openOperator(options, context).lines('/v1/ledger/export')) context.stdout(`${line}\n`);
  });
}

import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { SealwrightError, reasonOf } from '../../core/errors.ts';
import { formatIssue } from '../../core/issue.ts';
import { CheckFailed, type CommandContext } from '../command.ts';
import { count } from '../render/count.ts';
import { openOperator } from '../open-operator.ts';
import { addOperatorOptions } from '../settings-options.ts';

/** `sealwright audit verify|export`: the ledger, checked without trusting the CA that wrote it. */
export function configure(command: Command, context: CommandContext): void {
  const verify = command
    .command('verify')
    .description('recompute the whole ledger and compare it with every tree head that was signed')
    .argument('[file]', 'an export to verify instead of the running CA');
  verify.option('--log-id <hex>', 'the name that the log is known by; without it, that the ledger agrees with itself');
  addOperatorOptions(verify);
  verify.action(async (file: string | undefined, options: Record<string, unknown>) => {
    const lines =
      file === undefined
        ? openOperator(options, context).lines('/v1/ledger/export')
        : linesOfFile(resolve(context.folder, file));
    const { verifyExport } = await import('../../../ca/ledger/verify-ledger.ts');
    const { logId } = options;
    if (typeof logId === 'string' && !/^[0-9a-f]{64}$/.test(logId)) {
      throw new SealwrightError('argument_invalid', {
        argument: '--log-id',
        got: logId,
        expected: '64 digits of lower-case hex',
      });
    }
    const report = await verifyExport(lines, typeof logId === 'string' ? { logId } : {});
    for (const finding of report.findings) context.stdout(`${formatIssue(finding)}\n`);
    const { entries, kinds, heads, lastHead, problems } = report;
    context.stdout(
      problems === 0
        ? `the ledger is good: ${entries} entries (${kinds.issuance} certificates), ${heads} signed tree heads\n`
        : `the ledger is NOT good: ${count(problems, 'problem')} in ${entries} entries\n`,
    );
    context.stdout(`log        ${report.logId}\n`);
    if (lastHead !== undefined) context.stdout(`last head  size ${lastHead.size}, root hash ${lastHead.rootHash}\n`);
    if (problems > 0) throw new CheckFailed();
  });

  const write = command
    .command('export')
    .description('print the ledger as lines of JSON, for "audit verify" elsewhere');
  addOperatorOptions(write);
  write.action(async (options: Record<string, unknown>) => {
    for await (const line of openOperator(options, context).lines('/v1/ledger/export')) context.stdout(`${line}\n`);
  });
}

async function* linesOfFile(file: string): AsyncGenerator<string> {
  const input = createReadStream(file);
  try {
    yield* createInterface({ input, crlfDelay: Infinity });
  } catch (error) {
    throw new SealwrightError(
      'argument_invalid',
      { argument: 'file', got: file, reason: reasonOf(error) },
      { cause: error },
    );
  }
}

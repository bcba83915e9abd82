import type { Command } from 'commander';
import { parseDuration } from '../../core/duration.ts';
import { SealwrightError } from '../../core/errors.ts';
import type { RecordReader } from '../../core/record-reader.ts';
import { readAnswer } from '../answer.ts';
import type { CommandContext } from '../command.ts';
import { parseIdentityArgument } from '../identity-argument.ts';
import { openOperator } from '../open-operator.ts';
import { addOutputOption, renderListing, type Column, type ListingFormat } from '../render/listing.ts';
import { renderDistance, renderTime } from '../render/time.ts';
import { addOperatorOptions, loadSettings } from '../settings-options.ts';

/** One issued certificate, as the operator API tells of it. */
interface IssuedRow {
  readonly identity: string;
  readonly serial: string;
  readonly issuedAt: string;
  readonly notAfter: string;
  readonly authenticatedBy: string;
  readonly credential: string;
  readonly pod: string | undefined;
  readonly entry: number;
}

/** `sealwright identity list|show|history|issue`. */
export function configure(command: Command, context: CommandContext): void {
  const columns = columnsAt(context.now());

  const list = command.command('list').description('every identity with its newest certificate');
  addOutputOption(list);
  addOperatorOptions(list);
  list.action(async (options: Record<string, unknown>) => {
    const rows = await collect(openOperator(options, context).lines('/v1/identities'));
    context.stdout(renderListing(formatOf(options), columns, rows));
  });

  const history = command
    .command('history')
    .description('every certificate of one identity, oldest first')
    .argument('<identity>', 'namespace/service-account or a SPIFFE ID');
  addOutputOption(history);
  addOperatorOptions(history);
  history.action(async (text: string, options: Record<string, unknown>) => {
    const identity = parseIdentityArgument(text, loadSettings(options, context).trustDomain).toString();
    const rows = await collect(openOperator(options, context).lines('/v1/identities/history', { identity }));
    if (rows.length === 0) throw new SealwrightError('identity_unknown', { identity });
    context.stdout(renderListing(formatOf(options), columns, rows));
  });

  const show = command
    .command('show')
    .description('the newest certificate of one identity, in full')
    .argument('<identity>', 'namespace/service-account or a SPIFFE ID');
  addOperatorOptions(show);
  show.action(async (text: string, options: Record<string, unknown>) => {
    const identity = parseIdentityArgument(text, loadSettings(options, context).trustDomain).toString();
    const answer = readAnswer(await openOperator(options, context).get('/v1/identities/show', { identity }));
    const { describeCertificate } = await import('../../pki/inspect.ts');
    const { renderCertificate } = await import('../render/certificate.ts');
    const row = rowOf(answer);
    context.stdout(renderCertificate(describeCertificate(answer.text('certificate'), context.now()), context.now()));
    context.stdout(
      `\nledger entry     ${row.entry}, ${row.issuedAt}\nauthenticated    ${row.authenticatedBy} ${row.credential}\n`,
    );
    if (row.pod !== undefined) context.stdout(`pod              ${row.pod}\n`);
  });

  const issue = command
    .command('issue')
    .description('issue a certificate as an operator, for a machine or a test; the key is made here')
    .argument('<identity>', 'namespace/service-account or a SPIFFE ID')
    .option('--ttl <duration>', 'how long it is to be valid (the default of the CA)')
    .option('--format <format>', 'pem or pkcs12 (pem)')
    .option('--out <folder>', 'where the files are written (this folder)')
    .option('--force', 'replace files that are there already')
    .option('--password-file <file>', 'the password of the PKCS#12 file, on its first line');
  addOperatorOptions(issue);
  issue.action(async (text: string, options: Record<string, unknown>) => {
    const { issueIdentity } = await import('../issue-identity.ts');
    const identity = parseIdentityArgument(text, loadSettings(options, context).trustDomain);
    const ttl = typeof options['ttl'] === 'string' ? parseDuration(options['ttl']) : 0;
    await issueIdentity({ identity, ttl, options, operator: openOperator(options, context), context });
  });
}

function columnsAt(now: number): readonly Column<IssuedRow>[] {
  return [
    { heading: 'IDENTITY', cell: (row) => row.identity },
    { heading: 'EXPIRES', cell: (row) => renderDistance(Date.parse(row.notAfter), now) },
    { heading: 'SERIAL', cell: (row) => row.serial },
    { heading: 'AUTHENTICATED BY', cell: (row) => row.authenticatedBy },
    { heading: 'ISSUED', cell: (row) => row.issuedAt, wide: true },
    { heading: 'CREDENTIAL', cell: (row) => row.credential, wide: true },
    { heading: 'POD', cell: (row) => row.pod ?? '', wide: true },
    { heading: 'ENTRY', cell: (row) => String(row.entry), wide: true },
  ];
}

async function collect(lines: AsyncIterable<string>): Promise<IssuedRow[]> {
  const rows: IssuedRow[] = [];
  for await (const line of lines) rows.push(rowOf(readAnswer(JSON.parse(line))));
  return rows;
}

function rowOf(answer: RecordReader): IssuedRow {
  return {
    identity: answer.text('identity'),
    serial: answer.text('serial'),
    issuedAt: renderTime(answer.wholeNumber('issuedAt')),
    notAfter: renderTime(answer.wholeNumber('notAfter')),
    authenticatedBy: answer.text('authenticatedBy'),
    credential: answer.text('credential'),
    pod: answer.optionalText('pod'),
    entry: answer.wholeNumber('entry'),
  };
}

function formatOf(options: Record<string, unknown>): ListingFormat {
  const { output } = options;
  return output === 'json' || output === 'yaml' || output === 'wide' ? output : 'table';
}

import { dirname, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { stringifyYaml } from '../../config/stringify-yaml.ts';
import { SealwrightError } from '../../core/errors.ts';
import { formatIssue, type Issue } from '../../core/issue.ts';
import { CheckFailed, type CommandContext } from '../command.ts';
import { count } from '../render/count.ts';
import { addOutputOption, type ListingFormat } from '../render/listing.ts';
import type { ExplainOptions } from '../explain-question.ts';
import { terminalText } from '../render/terminal-text.ts';
import { inReadingOrder } from '../reading-order.ts';
import { readInput } from '../read-input.ts';
import { addResourcesOptions, loadSettings } from '../settings-options.ts';

/** `sealwright policy validate|explain`. */
export function configure(command: Command, context: CommandContext): void {
  const validate = command
    .command('validate')
    .description('say everything that is wrong with resources, each with file, line and column; 1 if anything is')
    .argument('[path...]', 'files and folders (the folder of resources)');
  addOutputOption(validate);
  addResourcesOptions(validate);
  validate.action(async (paths: string[], options: { output: ListingFormat }) => {
    const settings = loadSettings({ ...options }, context);
    const { resources, rootNamespace } = settings;
    const { readPaths } = await import('../../resources/read-folder.ts');
    const { policyValidators } = await import('../../resources/policy-resource.ts');
    const validators = policyValidators({ rootNamespace, strayRoot: 'error' });
    const asked = paths.length === 0 ? [shortPath(resources, context)] : paths;
    const { reviewResources } = await import('../review-resources.ts');
    const read = await readPaths(asked, { validators, base: context.folder });
    const { files, snapshot } = read;
    const issues = inReadingOrder([...read.issues, ...reviewResources(snapshot, settings)]);
    context.stdout(renderIssues(issues, options.output));
    const errors = issues.filter(({ severity }) => severity === 'error').length;
    const counts = `${count(files, 'file')}, ${count(snapshot.all.length, 'resource')} in order`;
    context.stderr(`${counts}, ${count(errors, 'error')}, ${count(issues.length - errors, 'warning')}\n`);
    if (errors > 0) throw new CheckFailed();
  });

  configureExplain(command, context);
}

interface ExplainArguments extends ExplainOptions {
  readonly id?: string;
  readonly workload?: string;
  readonly config?: string;
  readonly expect?: string;
  readonly output: ListingFormat;
}

function configureExplain(command: Command, context: CommandContext): void {
  const explain = command
    .command('explain')
    .description(
      'say what the policies answer to one call, and why (nothing is sent); with --id, why a sidecar answered as it did',
    )
    .option('--to <workload>', 'the workload that is called: namespace/name of its WorkloadEntry, and :port')
    .option('--from <caller>', 'namespace/service-account, a SPIFFE ID, or an address (that or nothing: plaintext)')
    .option('--port <port>', 'the port that the workload listens on (its only one)')
    .option('--method <method>', 'HTTP method (GET)')
    .option('--path <path>', 'path of the request, as it is sent (/)')
    .option('--host <host>', 'the Host of the request')
    .option('--header <name=value...>', 'a header of the request')
    .option('--jwt <file>', 'a file with a JWT, - for stdin, or claims as JSON; taken as verified, nothing is checked')
    .option('--sni <name>', 'the server name of the TLS connection')
    .option('--source-ip <address>', "the caller's address (that of its WorkloadEntry, else 127.0.0.1)")
    .option('--remote-ip <address>', 'the client behind trusted proxies (as X-Forwarded-For says, else the caller)')
    .option(
      '--id <request>',
      'the x-request-id of a request that was made: asks the sidecars of this folder, and of the one of --config',
    )
    .option('--workload <name>', 'with --id: ask only the sidecar of this workload, as namespace/name')
    .option('--expect <verdict>', 'allow or deny: end with 1 where the answer is the other (0 for any answer)');
  addOutputOption(explain);
  addResourcesOptions(explain);
  explain.action(async (options: ExplainArguments) => {
    const { expect } = options;
    if (expect !== undefined && expect !== 'allow' && expect !== 'deny') {
      throw new SealwrightError('argument_invalid', { argument: '--expect', got: expect, expected: 'allow or deny' });
    }
    const verdicts =
      options.id === undefined ? await explainAsked(options, context) : await explainMade(options, context);
    if (expect !== undefined && verdicts.some((allowed) => allowed !== (expect === 'allow'))) throw new CheckFailed();
  });
}

/** What would be answered, by the resources of the folder. */
async function explainAsked(options: ExplainArguments, context: CommandContext): Promise<(boolean | undefined)[]> {
  const settings = loadSettings({ ...options }, context);
  const { readPaths } = await import('../../resources/read-folder.ts');
  const { policyValidators } = await import('../../resources/policy-resource.ts');
  const { explainCall } = await import('../explain-call.ts');
  const { readQuestion } = await import('../explain-question.ts');
  const { renderCall } = await import('../render/explanation.ts');
  const { rootNamespace, resources, trustDomain } = settings;
  const { jwt } = options;
  const tokenText =
    jwt === undefined || jwt.trimStart().startsWith('{') ? jwt : (await readInput(jwt, context)).toString('utf8');
  const question = readQuestion(options, { trustDomain, tokenText });
  const validators = policyValidators({ rootNamespace, strayRoot: 'warning' });
  const { snapshot, issues } = await readPaths([shortPath(resources, context)], { validators, base: context.folder });
  // An answer from half of the policies would be worse than none.
  const errors = issues.filter(({ severity }) => severity === 'error');
  for (const issue of errors) context.stderr(`${formatIssue(issue)}\n`);
  if (errors.length > 0) {
    throw new SealwrightError('resources_with_errors', {
      folder: shortPath(resources, context),
      errors: errors.length,
    });
  }
  const explained = explainCall(question, { snapshot, settings });
  say(explained, options.output, context, renderCall);
  // Where a provider decides it is neither.
  return [explained.allowed && explained.asks.length > 0 ? undefined : explained.allowed];
}

/** What was answered, by the sidecars that did. */
async function explainMade(options: ExplainArguments, context: CommandContext): Promise<boolean[]> {
  const { isRequestId } = await import('../../../proxy/http1/request-ids.ts');
  const { findDecisions } = await import('../find-decisions.ts');
  const { renderDecisions } = await import('../render/explanation.ts');
  const { id = '', workload, config, output } = options;
  if (!isRequestId(id)) {
    throw new SealwrightError('argument_invalid', {
      argument: '--id',
      expected: 'an x-request-id, as a denial shows it',
    });
  }
  if (workload !== undefined && !/^[a-z0-9-]+\/[a-z0-9.-]+$/.test(workload)) {
    throw new SealwrightError('argument_invalid', {
      argument: '--workload',
      got: workload,
      expected: 'namespace/name',
    });
  }
  const { state, workload: own, podNamespace, podName } = loadSettings({ config }, context).proxy;
  const inPod = podNamespace === undefined || podName === undefined ? undefined : `${podNamespace}/${podName}`;
  const { found, asked, silent } = await findDecisions(id, {
    // A sidecar keeps its state beside the settings file, or where it was started.
    folders: [context.folder, ...(config === undefined ? [] : [dirname(resolve(context.folder, config))])],
    state: state === undefined ? undefined : { folder: state, workload: own ?? inPod },
    workload,
  });
  for (const line of silent) context.stderr(`not asked: ${line}\n`);
  if (found.length === 0) throw new SealwrightError('decision_not_found', { id, asked });
  if (found.length > 1) context.stderr('ids are chosen by callers: several requests had this one\n');
  say(found, output, context, renderDecisions);
  return found.map(({ decision }) => decision.verdict.allow);
}

function say<T>(value: T, format: ListingFormat, context: CommandContext, render: (value: T) => string): void {
  const text =
    format === 'json'
      ? `${JSON.stringify(value, null, 2)}\n`
      : format === 'yaml'
        ? stringifyYaml(value)
        : render(value);
  context.stdout(terminalText(text));
}

function renderIssues(issues: readonly Issue[], format: ListingFormat): string {
  if (format === 'json') return `${JSON.stringify(issues, null, 2)}\n`;
  if (format === 'yaml') return stringifyYaml(issues);
  return issues.map((issue) => `${formatIssue(issue)}\n`).join('');
}

/** As a person in this folder would write it, since it is printed with each finding. */
function shortPath(path: string, { folder }: CommandContext): string {
  const short = relative(folder, path);
  return short === '' || short.startsWith('..') ? path : short;
}

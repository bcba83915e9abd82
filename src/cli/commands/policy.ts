import { relative } from 'node:path';
import type { Command } from 'commander';
import { stringifyYaml } from '../../config/stringify-yaml.ts';
import { formatIssue, type Issue } from '../../core/issue.ts';
import { CheckFailed, type CommandContext } from '../command.ts';
import { addOutputOption, type ListingFormat } from '../render/listing.ts';
import type { ExplainOptions } from '../explain-call.ts';
import { sayIssues } from '../say-issues.ts';
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
    const { resources, rootNamespace } = loadSettings({ ...options }, context);
    const { readPaths } = await import('../../resources/read-folder.ts');
    const { policyValidators } = await import('../../resources/policy-resource.ts');
    const validators = policyValidators({ rootNamespace, strayRoot: 'error' });
    const asked = paths.length === 0 ? [shortPath(resources, context)] : paths;
    const { issues, files, snapshot } = await readPaths(asked, { validators, base: context.folder });
    context.stdout(renderIssues(issues, options.output));
    const errors = issues.filter(({ severity }) => severity === 'error').length;
    const counts = `${files} files, ${snapshot.all.length} resources in order`;
    context.stderr(`${counts}, ${errors} errors, ${issues.length - errors} warnings\n`);
    if (errors > 0) throw new CheckFailed();
  });

  const explain = command
    .command('explain')
    .description('say what the policies answer to one request, and why; nothing is sent')
    .requiredOption('--to <workload>', 'the workload that is called, as namespace/name of its WorkloadEntry')
    .option('--from <identity>', 'who calls: namespace/service-account or a SPIFFE ID (nobody: plaintext)')
    .option('--port <port>', 'the port that the workload listens on (its only one)')
    .option('--method <method>', 'HTTP method (GET)')
    .option('--path <path>', 'path of the request, as it is sent (/)')
    .option('--header <name:value...>', 'a header of the request; Host is one')
    .option('--source-ip <address>', "the caller's address (that of its WorkloadEntry, else 127.0.0.1)");
  addOutputOption(explain);
  addResourcesOptions(explain);
  explain.action(async (options: ExplainOptions & { output: ListingFormat }) => {
    const settings = loadSettings({ ...options }, context);
    const { readPaths } = await import('../../resources/read-folder.ts');
    const { policyValidators } = await import('../../resources/policy-resource.ts');
    const { explainCall, readQuestion } = await import('../explain-call.ts');
    const { renderCall } = await import('../render/explanation.ts');
    const { rootNamespace, resources } = settings;
    const validators = policyValidators({ rootNamespace, strayRoot: 'warning' });
    const { snapshot, issues } = await readPaths([shortPath(resources, context)], { validators, base: context.folder });
    // An answer from half of the policies would be worse than none.
    sayIssues(
      issues.filter(({ severity }) => severity === 'error'),
      context,
    );
    const explained = explainCall(readQuestion(options, settings.trustDomain), { snapshot, settings });
    if (options.output === 'json') context.stdout(`${JSON.stringify(explained, null, 2)}\n`);
    else if (options.output === 'yaml') context.stdout(stringifyYaml(explained));
    else context.stdout(renderCall(explained));
  });
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

import { relative } from 'node:path';
import type { Command } from 'commander';
import { stringifyYaml } from '../../config/stringify-yaml.ts';
import { formatIssue, type Issue } from '../../core/issue.ts';
import type { EditResult } from '../../resources/folder-edit.ts';
import { CheckFailed, type CommandContext } from '../command.ts';
import { readInput } from '../read-input.ts';
import { inReadingOrder } from '../reading-order.ts';
import { addOutputOption, type ListingFormat } from '../render/listing.ts';
import { addResourcesOptions, loadSettings } from '../settings-options.ts';

/** `sealwright apply -f FILE`: puts resources into the folder that the CA watches. */
export function configure(command: Command, context: CommandContext): void {
  command
    .requiredOption('-f, --filename <file...>', 'YAML or JSON files, or - for standard input')
    .option('-n, --namespace <name>', 'for resources that name none (default)');
  addOutputOption(command);
  addResourcesOptions(command);
  command.action(async (options: { filename: string[]; namespace?: string; output: ListingFormat }) => {
    const { applyResources } = await import('../../resources/folder-edit.ts');
    const { policyValidators } = await import('../../resources/policy-resource.ts');
    const { reviewResources } = await import('../review-resources.ts');
    const settings = loadSettings({ ...options }, context);
    const { resources: folder, rootNamespace } = settings;
    // As `policy validate` has it: what is put in force should not be put there to do nothing.
    const validators = policyValidators({ rootNamespace, strayRoot: 'error' });
    const applied: { results: EditResult[]; issues: Issue[] } = { results: [], issues: [] };
    for (const source of options.filename) {
      const text = await readInput(source, context);
      const { results, issues } = await applyResources({
        folder,
        text,
        source,
        namespace: options.namespace,
        validators,
        review: (snapshot) => reviewResources(snapshot, settings),
      });
      applied.results.push(...results.map((result) => ({ ...result, file: shortPath(result.file, context) })));
      const inOrder = inReadingOrder(issues.map((issue) => withShortPath(issue, context)));
      for (const issue of inOrder) applied.issues.push(issue);
      // Nothing of what follows a file with an error, which may be what it stands on.
      if (issues.some(isError)) break;
    }
    say(applied, options.output, context);
    if (applied.issues.some(isError)) throw new CheckFailed();
  });
}

/** For a person a line each, what is wrong apart from what was done; for a program all of it at once. */
function say(
  applied: { readonly results: readonly EditResult[]; readonly issues: readonly Issue[] },
  format: ListingFormat,
  context: CommandContext,
): void {
  if (format === 'json') context.stdout(`${JSON.stringify(applied, null, 2)}\n`);
  else if (format === 'yaml') context.stdout(stringifyYaml(applied));
  else {
    for (const { kind, namespace, name, action } of applied.results) {
      context.stdout(`${kind.toLowerCase()} ${namespace}/${name} ${action}\n`);
    }
    for (const issue of applied.issues) context.stderr(`${formatIssue(issue)}\n`);
  }
}

function isError({ severity }: Issue): boolean {
  return severity === 'error';
}

function withShortPath(issue: Issue, context: CommandContext): Issue {
  return issue.file === undefined ? issue : { ...issue, file: shortPath(issue.file, context) };
}

/** As a person in this folder would write it. */
function shortPath(path: string, { folder }: CommandContext): string {
  if (!path.startsWith('/')) return path;
  const short = relative(folder, path);
  return short === '' || short.startsWith('..') ? path : short;
}

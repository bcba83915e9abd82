import type { Command } from 'commander';
import { SealwrightError } from '../../core/errors.ts';
import type { ResourceName } from '../../resources/resource.ts';
import type { CommandContext } from '../command.ts';
import { readInput } from '../read-input.ts';
import { sayIssues } from '../say-issues.ts';
import { addResourcesOptions, loadSettings } from '../settings-options.ts';

/** `sealwright delete KIND NAME` or `-f FILE`: takes resources out of the folder that the CA watches. */
export function configure(command: Command, context: CommandContext): void {
  command
    .argument('[kind]', 'as kubectl takes it: authorizationpolicy, ap, workloadentry')
    .argument('[name]', 'its name')
    .option('-n, --namespace <name>', 'its namespace', 'default')
    .option('-f, --filename <file...>', 'delete what these files name, - for standard input');
  addResourcesOptions(command);
  command.action(
    async (kind: string | undefined, name: string | undefined, options: { namespace: string; filename?: string[] }) => {
      const { deleteResource } = await import('../../resources/folder-edit.ts');
      const folder = loadSettings({ ...options }, context).resources;
      const { namespace, filename: files } = options;
      for (const target of await targetsOf({ kind, name, namespace, files }, context)) {
        const deleted = await deleteResource(folder, target);
        context.stdout(`${deleted.kind.toLowerCase()} ${deleted.namespace}/${deleted.name} ${deleted.action}\n`);
      }
    },
  );
}

interface Asked {
  readonly kind: string | undefined;
  readonly name: string | undefined;
  readonly namespace: string;
  readonly files: readonly string[] | undefined;
}

async function targetsOf({ kind, name, namespace, files }: Asked, context: CommandContext): Promise<ResourceName[]> {
  const { namesIn, requireKind } = await import('../../resources/folder-edit.ts');
  if (files === undefined) {
    if (kind !== undefined && name !== undefined) return [{ kind: requireKind(kind).kind, namespace, name }];
    throw new SealwrightError('argument_invalid', { argument: 'kind, name', expected: 'KIND NAME, or -f FILE' });
  }
  if (kind !== undefined) {
    throw new SealwrightError('argument_invalid', { argument: '-f', expected: 'either KIND NAME or -f FILE' });
  }
  const targets: ResourceName[] = [];
  for (const file of files) {
    const { names, issues } = namesIn((await readInput(file, context)).toString(), file, namespace);
    // Before anything is deleted: half of what was meant is not what was meant.
    sayIssues(issues, context);
    targets.push(...names);
  }
  return targets;
}

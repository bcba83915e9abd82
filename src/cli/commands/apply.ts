import type { Command } from 'commander';
import type { CommandContext } from '../command.ts';
import { readInput } from '../read-input.ts';
import { sayIssues } from '../say-issues.ts';
import { addResourcesOptions, loadSettings } from '../settings-options.ts';

/** `sealwright apply -f FILE`: puts resources into the folder that the CA watches. */
export function configure(command: Command, context: CommandContext): void {
  command
    .requiredOption('-f, --filename <file...>', 'YAML or JSON files, or - for standard input')
    .option('-n, --namespace <name>', 'for resources that name none (default)');
  addResourcesOptions(command);
  command.action(async (options: { filename: string[]; namespace?: string }) => {
    const { applyResources } = await import('../../resources/folder-edit.ts');
    const { policyValidators } = await import('../../resources/policy-resource.ts');
    const { resources: folder, rootNamespace } = loadSettings({ ...options }, context);
    const validators = policyValidators({ rootNamespace, strayRoot: 'warning' });
    for (const source of options.filename) {
      const text = await readInput(source, context);
      const { results, issues } = await applyResources({
        folder,
        text,
        source,
        namespace: options.namespace,
        validators,
      });
      for (const { kind, namespace, name, action } of results) {
        context.stdout(`${kind.toLowerCase()} ${namespace}/${name} ${action}\n`);
      }
      sayIssues(issues, context);
    }
  });
}

import type { Command } from 'commander';
import { stringifyYaml } from '../../config/stringify-yaml.ts';
import type { CommandContext } from '../command.ts';
import { addOutputOption, renderListing, type ListingFormat } from '../render/listing.ts';
import { addResourcesOptions, loadSettings } from '../settings-options.ts';

/** `sealwright get KIND [NAME]`: what is in the folder of resources. */
export function configure(command: Command, context: CommandContext): void {
  command
    .argument('<kind>', 'as kubectl takes it: authorizationpolicy, ap, workloadentry')
    .argument('[name]', 'one of them')
    .option('-n, --namespace <name>', 'of one namespace only (all)');
  addOutputOption(command);
  addResourcesOptions(command);
  command.action(
    async (kind: string, name: string | undefined, options: { namespace?: string; output: ListingFormat }) => {
      const { getResources, requireKind } = await import('../../resources/folder-edit.ts');
      const { documentOf } = await import('../../resources/resource-document.ts');
      const { columnsOf } = await import('../render/resource-columns.ts');
      const folder = loadSettings({ ...options }, context).resources;
      const found = await getResources({ folder, kind, name, namespace: options.namespace });
      const documents = found.map(documentOf);
      // YAML can be applied again as it is; JSON is a list as kubectl prints it.
      if (options.output === 'yaml') context.stdout(documents.map(stringifyYaml).join('---\n'));
      else if (options.output === 'json') {
        const [only] = documents;
        const value =
          name !== undefined && found.length === 1 ? only : { apiVersion: 'v1', kind: 'List', items: documents };
        context.stdout(`${JSON.stringify(value, null, 2)}\n`);
      } else if (found.length === 0) context.stderr(`no ${requireKind(kind).plural} found\n`);
      else context.stdout(renderListing(options.output, columnsOf(requireKind(kind).kind, context.now()), found));
    },
  );
}

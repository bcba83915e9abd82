import type { Command } from 'commander';
import { captureOptionsOf, familiesOf, programOf } from '../capture-options.ts';
import type { CommandContext } from '../command.ts';
import { runProgram } from '../run-program.ts';

/** `sealwright intercept install|remove`: the rules that bring connections to the sidecar, in this network namespace. */
export function configure(command: Command, context: CommandContext): void {
  const install = command
    .command('install')
    .description('put the rules in force, in place of any that stood before')
    .option(
      '--mode <mode>',
      'how connections from others are brought: REDIRECT, or TPROXY, which keeps their source',
      'REDIRECT',
    )
    .option('--inbound-port <port>', 'where the sidecar takes connections from others', '15006')
    .option('--outbound-port <port>', "where it takes the application's own", '15001')
    .option('--proxy-uid <uids>', 'users whose connections are the sidecar\'s own, or "" for none', '1337')
    .option('--proxy-gid <gids>', 'groups, likewise', '1337')
    .option('--inbound-ports <ports>', 'ports of the application that others are intercepted at; * for all', '*')
    .option('--exclude-inbound-ports <ports>', 'ports that they are not, besides those of --own-ports', '')
    .option(
      '--own-ports <ports>',
      "ports of the sidecar's status and readiness, which others call as they are",
      '15020,15021',
    )
    .option(
      '--outbound-cidrs <cidrs>',
      'destinations that the application is intercepted on its way to; * for all',
      '*',
    )
    .option('--exclude-outbound-cidrs <cidrs>', 'destinations that it is not', '')
    .option('--outbound-ports <ports>', 'ports that it is intercepted on its way to, whatever the address', '')
    .option('--exclude-outbound-ports <ports>', 'ports that it is not, besides 53', '')
    .option('--program <name>', 'iptables or nft (iptables where it is installed)')
    .option('--dry-run', 'print what would be done, and do nothing');
  addFamilies(install);
  install.action(async (given: Record<string, unknown>) => {
    const options = captureOptionsOf(given);
    const { describeRules, installRules } = await import('../../../proxy/intercept/rules/install-rules.ts');
    const families = familiesOf(given);
    const program = programOf(given, runProgram);
    if (given['dryRun'] === true) context.stdout(describeRules(program, { options, families }));
    else {
      installRules(runProgram, program, { options, families });
      context.stdout(`connections are brought to the sidecar (${options.mode}, ${families.join(' and ')})\n`);
    }
  });

  const remove = command.command('remove').description('take all of the rules away; nothing is left of them');
  addFamilies(remove);
  remove.action(async (given: Record<string, unknown>) => {
    const { removeRules } = await import('../../../proxy/intercept/rules/install-rules.ts');
    const families = familiesOf(given);
    const removed = removeRules(runProgram, families);
    const both = families.join(' and ');
    context.stdout(
      removed
        ? `no connections are brought to the sidecar any more (${both})\n`
        : `there were no rules to remove (${both})\n`,
    );
  });
}

function addFamilies(command: Command): void {
  command.option('--ip <families>', '4, 6, or both as 4,6 (what this network namespace has)');
}

import { Command, CommanderError } from 'commander';
import { SealwrightError, reasonOf } from '../core/errors.ts';
import { packageVersion } from './package-version.ts';
import { CheckFailed, type CommandContext } from './command.ts';
import { COMMANDS } from './commands.ts';

/** Exit codes of the command line (design section 9). */
const EXIT = { good: 0, checkFailed: 1, usage: 2 } as const;

/** Runs one command line on the real process and answers its exit code. */
export function main(args: readonly string[]): Promise<number> {
  return run(args, {
    env: process.env,
    folder: process.cwd(),
    stdin: process.stdin,
    stdout: (text) => process.stdout.write(text),
    onStdoutDrain: (listener) => void process.stdout.on('drain', listener),
    stderr: (text) => void process.stderr.write(text),
    terminal: process.stdout.isTTY,
    now: Date.now,
  });
}

/** Runs one command line in a given surrounding and answers its exit code. */
export async function run(args: readonly string[], context: CommandContext): Promise<number> {
  const program = new Command('sealwright')
    .description(
      'A certificate authority for service accounts, with a ledger, and the sidecars that enforce who may call whom.',
    )
    .version(packageVersion(), '-V, --version', 'print the version')
    .exitOverride()
    .configureOutput({ writeOut: context.stdout, writeErr: context.stderr, outputError: () => undefined })
    // The longest option leaves less than commander's 40 columns of 80, and would turn wrapping off.
    .configureHelp({ minWidthToWrap: 24 })
    .helpCommand(false);
  // Only the command that was named is loaded: `--help` and every command start without the others' modules.
  for (const { name, summary, load } of COMMANDS) {
    const command = program.command(name).description(summary);
    inherit(command, program);
    if (args[0] === name) (await load()).configure(command, context);
  }
  for (const command of descendants(program)) inherit(command, program);
  try {
    await program.parseAsync(args, { from: 'user' });
    return EXIT.good;
  } catch (error) {
    return exitCodeOf(error, context);
  }
}

/** Commander copies its settings to a subcommand only where the parent already had them when it was made. */
function inherit(command: Command, program: Command): void {
  command.copyInheritedSettings(program);
}

function descendants(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}

function exitCodeOf(error: unknown, context: CommandContext): number {
  if (error instanceof CheckFailed) return EXIT.checkFailed;
  if (error instanceof SealwrightError) {
    // What the CA said is a whole sentence already, with its own remedy.
    const saying = error.code === 'operator_refused' || error.code === 'operator_unreachable';
    const said = saying ? error.fields['said'] : undefined;
    context.stderr(`sealwright: ${said ?? error.message}\n`);
    return error.facts.exit;
  }
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.good;
    // `(outputHelp)` is how commander says that a group was named without one of its commands: the help was written.
    if (error.code !== 'commander.help') context.stderr(`sealwright: ${error.message.replace(/^error: /, '')}\n`);
    return EXIT.usage;
  }
  context.stderr(`sealwright: ${reasonOf(error)}\n`);
  return EXIT.checkFailed;
}

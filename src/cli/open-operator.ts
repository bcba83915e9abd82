import { join } from 'node:path';
import type { CommandContext } from './command.ts';
import { OperatorClient } from './operator-client.ts';
import { loadSettings } from './settings-options.ts';

/** The operator API of the CA whose state folder the options, the environment or the settings file name. */
export function openOperator(options: Readonly<Record<string, unknown>>, context: CommandContext): OperatorClient {
  const settings = loadSettings(options, context);
  return new OperatorClient(join(settings.ca.state, 'operator.sock'));
}

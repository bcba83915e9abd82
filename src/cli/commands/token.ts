import type { Command } from 'commander';
import { parseDuration } from '../../core/duration.ts';
import { SealwrightError } from '../../core/errors.ts';
import { readAnswer } from '../answer.ts';
import type { CommandContext } from '../command.ts';
import { openOperator } from '../open-operator.ts';
import { addOperatorOptions } from '../settings-options.ts';

/** `sealwright token create`: a service account token of the embedded issuer, on stdout. */
export function configure(command: Command, context: CommandContext): void {
  const create = command
    .command('create')
    .description('mint a service account token and print it')
    .argument('<service-account>', 'namespace/name, such as shop/catalog')
    .option('--pod <name>', 'the pod that the token is bound to (the name of the service account)')
    .option('--audience <audience...>', 'whom the token is for (the audiences that the CA accepts)')
    .option('--ttl <duration>', 'how long it is valid (1h)');
  addOperatorOptions(create);
  create.action(async (account: string, options: Record<string, unknown>) => {
    const [namespace, serviceAccount, ...more] = account.split('/');
    if (!namespace || !serviceAccount || more.length > 0) {
      throw new SealwrightError('argument_invalid', {
        argument: 'service-account',
        got: account,
        expected: 'namespace/name',
      });
    }
    const { pod, audience, ttl } = options;
    const answer = await openOperator(options, context).post('/v1/tokens', {
      namespace,
      serviceAccount,
      ...(typeof pod === 'string' ? { pod } : {}),
      ...(Array.isArray(audience) ? { audiences: audience } : {}),
      ...(typeof ttl === 'string' ? { ttl: parseDuration(ttl) } : {}),
    });
    context.stdout(`${readAnswer(answer).text('token')}\n`);
  });
}

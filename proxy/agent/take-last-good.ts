import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import { SUBSCRIBED_TYPES } from './control-subscriptions.ts';
import { HeldAddresses } from './held-addresses.ts';
import { loadLastGood, type LastGood } from './last-good.ts';
import { PushedState, type PushedStateOptions } from './pushed-state.ts';
import type { ReadPush } from './read-push.ts';

/** What a trial needs of the state that it is one for. */
type TrialOptions = Pick<PushedStateOptions, 'uid' | 'names' | 'ownPlaces' | 'logger'>;

/** Takes in what the last run left, once it was found to be good again. In part it is of no use. */
export async function takeLastGood(
  folder: string,
  state: PushedState,
  options: TrialOptions,
): Promise<LastGood | undefined> {
  const { uid, names, logger } = options;
  const { trustDomain, rootNamespace } = names;
  const kept = await loadLastGood(folder, { uid, trustDomain, rootNamespace }, logger);
  if (kept === undefined) return undefined;
  const trial = new PushedState({
    ...options,
    held: new HeldAddresses(),
    onAddresses: () => undefined,
    onRoots: () => undefined,
    onTaken: () => undefined,
  });
  try {
    const reads = new Map<string, ReadPush<unknown>>();
    for (const typeUrl of SUBSCRIBED_TYPES) {
      const update = { changed: kept.types.get(typeUrl) ?? [], removed: [], systemVersion: 'disk' };
      reads.set(typeUrl, await trial.owner(typeUrl).read(update));
    }
    const into = (taking: PushedState): void => {
      for (const [typeUrl, read] of reads) {
        // Policies come into force behind it. Where they cannot, that was said.
        taking
          .owner(typeUrl)
          .take([read])
          ?.catch(() => undefined);
      }
    };
    into(trial);
    if (!trial.complete) throw new SealwrightError('sidecar_config_unusable', { reason: 'a part of it is missing' });
    into(state);
  } catch (error) {
    logger.warn('the configuration of the last run cannot be used', { folder, reason: reasonOf(error) });
    return undefined;
  } finally {
    trial.stop();
  }
  logger.info('the configuration of the last run is in force until the CA is reached', { folder });
  return kept;
}

import type { WatchEnd } from './watch-event.ts';

/** How a watch ended, and whether the server had taken it. */
export type StreamEnd = WatchEnd & { readonly opened: boolean };

/**
 * Whether a watch that was to tell everything may have ended since the server cannot do that, and says so in one of many
 * ways: by a status, by an event of error where its etcd is too old, or by never coming to the end of it. Also who may not
 * watch may still list; and is told what it lacks.
 */
export function mayBeUnknown({ reason, error, opened }: StreamEnd): boolean {
  if (reason !== 'refused') return opened && (reason === 'silent' || reason === 'ended' || reason === 'garbage');
  const isPassing = error?.code === 'kubernetes_throttled' || error?.fields['status'] === 401;
  return !isPassing && error?.code !== 'kubernetes_not_found';
}

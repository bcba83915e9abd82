import { networkInterfaces } from 'node:os';
import type { Settings } from '../src/config/settings-table.ts';
import { createInterception, type InterceptionOptions } from './intercept/create-interception.ts';
import type { Interception } from './intercept/interception.ts';
import { openKoffiCalls } from './intercept/koffi-calls.ts';

type Asked = Pick<Settings['proxy'], 'interceptionMode' | 'inbound' | 'outbound' | 'status' | 'ready'>;

/**
 * Interception on this machine, where it is asked for.
 *
 * @throws SealwrightError `interception_unavailable`
 */
export async function openInterception(
  { interceptionMode: mode, inbound, outbound, status, ready }: Asked,
  surroundings: Pick<InterceptionOptions, 'clock' | 'logger' | 'shared'>,
): Promise<Interception | undefined> {
  if (mode === 'NONE') return undefined;
  return createInterception({
    mode,
    calls: await openKoffiCalls(),
    inbound,
    outbound,
    ownPorts: [status.port, ready.port],
    interfaceAddresses: () =>
      Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address)),
    ...surroundings,
  });
}

import { once } from 'node:events';
import { createServer } from 'node:net';
import { SealwrightError } from '../../core/errors.ts';
import { addressOf, OUTBOUND_PORT, READY_PORT, SERVICES, STATUS_PORT, type Placement } from './topology.ts';

/**
 * Makes sure that all places are free before anything starts: one sentence now is better than four sidecars that fail.
 *
 * @throws SealwrightError `demo_place_taken`, `demo_address_missing`
 */
export async function checkPlaces(placement: Placement): Promise<void> {
  const places: [string, number][] = [placement.caListen, placement.caMetricsListen].map((listen) => {
    const [host = '', port = ''] = listen.split(':');
    return [host, Number(port)];
  });
  for (const service of SERVICES) {
    const address = addressOf(placement, service);
    const egress = service.protocol === 'http' ? [7070] : [];
    for (const port of [service.port, ...egress, OUTBOUND_PORT, STATUS_PORT, READY_PORT]) places.push([address, port]);
    places.push(['127.0.0.1', placement.applicationPort(service)]);
  }
  for (const [address, port] of places) await checkPlace(address, port);
}

async function checkPlace(address: string, port: number): Promise<void> {
  const server = createServer().listen({ host: address, port, exclusive: true });
  try {
    await once(server, 'listening');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    // Elsewhere than on Linux only 127.0.0.1 is there by itself.
    if (code === 'EADDRNOTAVAIL') throw new SealwrightError('demo_address_missing', { address }, { cause });
    throw new SealwrightError('demo_place_taken', { address, port, reason: code }, { cause });
  }
  server.close();
  await once(server, 'close');
}

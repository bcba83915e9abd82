import type { TcpRelayResult } from '../tcp/relay.ts';
import type { AccessEntry } from './access-entry.ts';

/** How an opaque connection ended, as the access log has it. */
export function tcpEnd({
  reason,
  flags,
}: TcpRelayResult): Pick<
  AccessEntry,
  'responseFlags' | 'connectionTerminationDetails' | 'upstreamTransportFailureReason'
> {
  const upstream = flags === 'UC' || flags === 'UF';
  return {
    responseFlags: flags,
    connectionTerminationDetails: upstream ? '' : reason,
    upstreamTransportFailureReason: upstream ? reason : '',
  };
}

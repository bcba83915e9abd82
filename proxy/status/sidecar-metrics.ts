import type { Clock } from '../../src/core/clock.ts';
import type { Metrics } from '../../src/observe/metrics.ts';
import type { AgentStatus } from '../agent/sidecar-config.ts';

export interface SidecarMetricsParts {
  readonly agent: { readonly status: AgentStatus; current(): { readonly revision: number } | undefined };
  readonly sidecar: { readonly open: { readonly inbound: number; readonly outbound: number } };
  readonly clock: Pick<Clock, 'now'>;
  readonly version: string;
}

/** What a sidecar says of itself, beside Istio's metrics of what passes through it. */
export function exposeSidecar(metrics: Metrics, { agent, sidecar, clock, version }: SidecarMetricsParts): void {
  metrics.info('istio_build', 'The version that runs.', { component: 'proxy', tag: version });
  metrics.gauge('sealwright_control_stream_connected', 'Whether the CA is reached: 1 or 0.', () =>
    agent.status.connected ? 1 : 0,
  );
  metrics.gauge(
    'sealwright_configuration_revision',
    'Changes of the configuration since the start.',
    () => agent.current()?.revision,
  );
  metrics.gauge(
    'sealwright_configuration_refused',
    'Types of which the last push was refused.',
    () => agent.status.types.filter(({ refusal }) => refusal !== undefined).length,
  );
  metrics.gauge('sealwright_certificate_expiry_seconds', 'Seconds until the certificate expires.', () => {
    const { identity } = agent.status;
    return identity === undefined ? undefined : (identity.notAfter - clock.now()) / 1000;
  });
  metrics.gauge('sealwright_inbound_connections', 'Open connections from others.', () => sidecar.open.inbound);
  metrics.gauge('sealwright_outbound_connections', 'Open connections of the application.', () => sidecar.open.outbound);
}

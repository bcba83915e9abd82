import type { Member } from './mesh.ts';
import { STATUS_PORT } from './topology.ts';

/** One line of `istio_requests_total` or `istio_tcp_connections_opened_total` as the called sidecar reports it. */
export interface Edge {
  readonly source: string;
  readonly destination: string;
  /** HTTP status, or `tcp`. */
  readonly code: string;
  readonly security: string;
  readonly count: number;
}

const SERIES = /^(istio_requests_total|istio_tcp_connections_opened_total)\{(.*)\} (\d+)$/;

export function metricsUrl({ address }: Member): string {
  return `http://${address}:${STATUS_PORT}/stats/prometheus`;
}

/** Who called whom, read from the metrics of the called sidecars as Prometheus would. */
export async function readEdges(members: readonly Member[]): Promise<readonly Edge[]> {
  const pages = await Promise.all(members.map(async (member) => (await fetch(metricsUrl(member))).text()));
  const counts = new Map<string, Edge>();
  for (const line of pages.flatMap((page) => page.split('\n'))) {
    const [, metric = '', labels = '', count = ''] = SERIES.exec(line) ?? [];
    if (metric === '' || labelOf(labels, 'reporter') !== 'destination') continue;
    const edge = {
      source: labelOf(labels, 'source_workload'),
      destination: labelOf(labels, 'destination_workload'),
      code: metric === 'istio_requests_total' ? labelOf(labels, 'response_code') : 'tcp',
      security: labelOf(labels, 'connection_security_policy'),
    };
    const key = JSON.stringify(edge);
    counts.set(key, { ...edge, count: (counts.get(key)?.count ?? 0) + Number(count) });
  }
  return [...counts.values()].toSorted((a, b) => b.count - a.count);
}

function labelOf(labels: string, name: string): string {
  return new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
}

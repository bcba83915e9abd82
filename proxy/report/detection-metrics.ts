import type { Metrics } from '../../src/observe/metrics.ts';
import type { Finding } from '../detect/finding.ts';

/** Counts what listening to the first bytes of a connection came to. */
export type CountFinding = (direction: 'inbound' | 'outbound', finding: Finding) => void;

export function createDetectionMetrics(metrics: Metrics): CountFinding {
  const found = metrics.counter(
    'sealwright_protocol_detections_total',
    'What the first bytes of connections were; late is what meant nothing until its time was over, taken for TCP.',
    ['direction', 'result'],
  );
  return (direction, finding) => found.of(direction, finding).add(1);
}

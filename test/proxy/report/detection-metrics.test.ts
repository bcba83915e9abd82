import { strict as assert } from 'node:assert';
import { createDetectionMetrics } from '../../../proxy/report/detection-metrics.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';

describe('the metric of what first bytes were', () => {
  it('counts by direction and result', async () => {
    const metrics = createMetrics({ processMetrics: false });
    const found = createDetectionMetrics(metrics);
    found('inbound', 'tls');
    found('inbound', 'tls');
    found('outbound', 'late');
    const { body } = await metrics.render();
    const lines = body.split('\n').filter((line) => line.startsWith('sealwright_protocol_detections_total{'));
    assert.deepEqual(lines, [
      'sealwright_protocol_detections_total{direction="inbound",result="tls"} 2',
      'sealwright_protocol_detections_total{direction="outbound",result="late"} 1',
    ]);
  });
});

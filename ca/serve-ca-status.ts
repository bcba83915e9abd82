import type { Settings } from '../src/config/settings-table.ts';
import type { Logger } from '../src/core/logger.ts';
import type { Metrics } from '../src/observe/metrics.ts';
import { serveStatus, type StatusAnswer, type StatusServer } from '../src/observe/status-server.ts';
import type { Readiness } from './readiness.ts';

export interface CaStatusParts {
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly version: string;
  readonly logger: Logger;
}

/**
 * The metrics and health of the CA, over plain HTTP.
 *
 * @throws SealwrightError `status_port_unavailable`
 */
export function serveCaStatus(
  { ca }: Settings,
  { metrics, readiness, logger, version }: CaStatusParts,
): Promise<StatusServer> {
  const { host = '::', port } = ca.metrics.listen;
  const ready = (): StatusAnswer => {
    const reason = readiness.reason();
    return reason === undefined ? { status: 200, body: 'ready\n' } : { status: 503, body: `${reason}\n` };
  };
  return serveStatus({
    host,
    port,
    logger,
    routes: {
      '/metrics': async () => ({ status: 200, ...(await metrics.render()) }),
      '/healthz': () => ({ status: 200, body: 'alive\n' }),
      '/ready': ready,
      '/version': () => ({ status: 200, body: `${version}\n` }),
    },
  });
}

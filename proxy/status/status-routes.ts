import type { IncomingMessage } from 'node:http';
import type { Metrics } from '../../src/observe/metrics.ts';
import type { StatusAnswer, StatusRoutes } from '../../src/observe/status-server.ts';
import { callerIsLocal } from './caller-is-local.ts';

export interface StatusParts {
  readonly metrics: Pick<Metrics, 'render'>;
  readonly version: string;
  /** Why it cannot serve; empty where it can. */
  readonly reasonsNotReady: () => readonly string[];
  /** Begins to drain; called again, it does nothing. */
  readonly drain: () => void;
  /** Ends the process in order. */
  readonly quit: () => void;
}

/** What is served on the status port (15020): for this machine, Prometheus and the kubelet. */
export function statusRoutes({ metrics, version, reasonsNotReady, drain, quit }: StatusParts): StatusRoutes {
  const scrape = async (): Promise<StatusAnswer> => ({ status: 200, ...(await metrics.render()) });
  const locally = (act: () => void, body: string) => {
    return (request: IncomingMessage): StatusAnswer => {
      if (!callerIsLocal(request)) return { status: 403, body: 'only from this machine, and not from a web page\n' };
      act();
      return { status: 200, body };
    };
  };
  return {
    '/metrics': scrape,
    '/stats/prometheus': scrape,
    ...readyRoutes({ reasonsNotReady }),
    '/version': () => ({ status: 200, body: `${version}\n` }),
    'POST /drain': locally(drain, 'draining\n'),
    'POST /quitquitquit': locally(quit, 'ending\n'),
  };
}

/** What is served on the readiness port (15021), which probes from elsewhere reach, and nothing else. */
export function readyRoutes({ reasonsNotReady }: Pick<StatusParts, 'reasonsNotReady'>): StatusRoutes {
  return {
    '/healthz/ready': () => {
      const reasons = reasonsNotReady();
      return reasons.length === 0 ? { status: 200, body: 'ready\n' } : { status: 503, body: `${reasons.join('\n')}\n` };
    },
  };
}

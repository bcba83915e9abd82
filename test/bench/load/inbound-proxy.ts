// Our inbound side with mTLS, rules and XFCC in a process of its own, so that its CPU time is its own.
import { createHttpEngine } from '../../../proxy/http1/http-engine.ts';
import { InboundListener } from '../../../proxy/inbound/inbound-listener.ts';
import type { Verdict } from '../../../proxy/inbound/connection-authorizer.ts';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import { UpstreamPool } from '../../../proxy/upstream/pool.ts';
import { plainTransport } from '../../../proxy/upstream/transports.ts';
import { connect } from 'node:net';
import { X509Certificate } from 'node:crypto';
import { createClock } from '../../../src/core/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

interface Order {
  readonly upstreamPort: number;
  readonly identity: {
    readonly identity: string;
    readonly keyPem: string;
    readonly chainPem: string;
    readonly rootsPem: string;
  };
  readonly allowed: string;
}

const ALLOWED: Verdict = Object.freeze({ allowed: true });
const DENIED: Verdict = Object.freeze({ allowed: false, detail: 'rbac_access_denied_matched_policy[none]' });

process.once('message', (order: Order) => {
  const clock = createClock({
    now: () => Date.now(),
    elapsed: () => performance.now(),
    setTimeout,
    clearTimeout: (handle) => clearTimeout(handle),
  });
  const deadlines = new Deadlines(clock);
  const engine = createHttpEngine({ clock, logger: new RecordingLogger(), deadlines });
  const upstream = new UpstreamPool({
    transport: plainTransport({ host: '127.0.0.1', port: order.upstreamPort }),
    deadlines,
  });
  let bytes = 0;
  const listener = new InboundListener({
    clock,
    engine,
    services: {
      route: () => ({
        mode: 'STRICT',
        protocol: 'http',
        address: '127.0.0.1',
        port: order.upstreamPort,
        upstream,
        connect: () => connect({ port: order.upstreamPort, host: '127.0.0.1', allowHalfOpen: true }),
      }),
      // The same rule as in the peer's configuration: one principal, one method, one path prefix.
      authorizer: (facts) => ({
        decide: (head, path) =>
          facts.peer === order.allowed && head.method === 'GET' && path.startsWith('/api/') ? ALLOWED : DENIED,
        decideConnection: () => DENIED,
      }),
      normalizePath: (path) => path,
      verifyPeer: ([leaf]) => {
        const name = leaf === undefined ? undefined : new X509Certificate(leaf).subjectAltName;
        return name?.startsWith('URI:') === true ? { identity: name.slice(4) } : { reason: 'no SPIFFE ID' };
      },
      identity: { current: () => ({ ...order.identity, version: '1' }), onChange: () => () => {} },
      observer: {
        onRequest: (record) => {
          bytes += record.responseBodyBytes;
        },
        onTcpOpened: () => {},
        onTcpClosed: () => {},
        onRefused: (_facts, reason) => process.stderr.write(`refused: ${reason} after ${bytes} bytes\n`),
      },
    },
  });
  listener.listen({ host: '127.0.0.1', port: 0 }).then(
    ({ port }) => process.send?.({ port }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());

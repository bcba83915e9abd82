// The whole sidecar, inbound side, in a process of its own, so that its CPU time is its own: mTLS, compiled policies,
// XFCC, path normalization and all of Istio's metrics. The access log is on for errors, as by default.
import { randomBytes } from 'node:crypto';
import { giveBackMemory } from '../../../proxy/give-back-memory.ts';
import { keepYoungGenerationSmall } from '../../../proxy/young-generation.ts';

interface Order {
  readonly upstreamPort: number;
  readonly identity: {
    readonly identity: string;
    readonly keyPem: string;
    readonly chainPem: string;
    readonly rootsPem: string;
  };
  readonly allowed: string;
  readonly protocol: 'http' | 'tcp';
  readonly methods: readonly string[];
  /** Policies for other callers and other paths, besides the one that lets in. */
  readonly otherPolicies?: number;
  /** Services that the workload calls in plaintext, all of the one application: `host-<number>.example`. */
  readonly services?: number;
}

async function serve(order: Order): Promise<{ port: number; outboundPort: number }> {
  const { upstreamPort, identity, allowed, protocol, methods, otherPolicies = 0, services = 0 } = order;
  // In the order in which `sealwright proxy` does it.
  keepYoungGenerationSmall();
  const { AccessLog } = await import('../../../proxy/report/access-log.ts');
  const { DecisionLog } = await import('../../../proxy/decisions/decision-log.ts');
  const { Sidecar } = await import('../../../proxy/sidecar.ts');
  const { createClock } = await import('../../../src/core/clock.ts');
  const { createMetrics } = await import('../../../src/observe/metrics.ts');
  const { RecordingLogger } = await import('../../fakes/logger.ts');
  const world = await import('../../proxy/sidecar-world.ts');
  const clock = createClock({
    now: () => Date.now(),
    elapsed: () => performance.now(),
    setTimeout,
    clearTimeout: (handle) => clearTimeout(handle),
  });
  const metrics = createMetrics({ processMetrics: true });
  const others = Array.from({ length: otherPolicies }, (_, index): [string, object] => [
    `other-${index}`,
    {
      rules: [
        {
          from: [{ source: { principals: [`cluster.local/ns/shop/sa/other-${index}`] } }],
          to: [{ operation: { methods, paths: [`/other-${index}/*`] } }],
        },
      ],
    },
  ]);
  const book = new world.TestBook();
  for (let index = 0; index < services; index += 1) {
    const service = world.service(`host-${index}.example`, [80]);
    const behind = {
      name: `w-${index}`,
      sidecar: false,
      mode: 'DISABLE' as const,
      services: { [service.key]: { 80: upstreamPort } },
    };
    book.addService(service, world.workload(behind));
  }
  const key = 'shop/catalog.shop.svc.cluster.local';
  const config = world.sidecarConfig({
    workload: world.workload({ name: 'catalog', labels: { app: 'catalog' }, services: { [key]: { 80: 0 } } }),
    rootsPem: identity.rootsPem,
    inbound: [{ applicationPort: upstreamPort, mode: 'STRICT', protocol }],
    // The same rule as in the peer's configuration: one principal and, of requests, the method and one path prefix.
    outbound: [{}],
    policies: {
      ...Object.fromEntries(others),
      allowed: {
        rules: [
          {
            from: [{ source: { principals: [allowed.slice('spiffe://'.length)] } }],
            ...(protocol === 'tcp' ? {} : { to: [{ operation: { methods, paths: ['/api/*'] } }] }),
          },
        ],
      },
    },
  });
  const sidecar = new Sidecar({
    clock,
    logger: new RecordingLogger(),
    metrics,
    config: new world.TestConfig(config),
    identity: new world.TestIdentitySource(identity),
    keySets: { find: () => undefined, askAgain: () => undefined },
    book,
    accessLog: new AccessLog({
      mode: 'errors',
      format: 'json',
      clock,
      write: (lines) => process.stderr.write(lines),
      onDrain: (listener) => process.stderr.on('drain', listener),
      dropped: { add: () => {} },
    }),
    lookup: async () => [],
    randomBytes,
    random: Math.random,
    decisions: new DecisionLog({ clock, capacity: 4_096, randomBytes }),
    proxy: { host: '127.0.0.1', port: 0 },
  });
  await sidecar.applied;
  giveBackMemory();
  const [[inbound], [outbound]] = [config.inbound, config.outbound];
  const port = inbound === undefined ? undefined : sidecar.portOf('inbound', inbound);
  const outboundPort = outbound === undefined ? undefined : sidecar.portOf('outbound', outbound);
  if (port === undefined || outboundPort === undefined) throw new Error(sidecar.problems.join('; '));
  return { port, outboundPort };
}

process.once('message', (order: Order) => {
  serve(order).then(
    (ports) => process.send?.(ports),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());

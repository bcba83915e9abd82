import { MOST_LABELS, LONGEST_VALUE } from '../../src/policy/workload-selector.ts';
import { LONGEST_NAME, MOST_TARGETS } from '../../src/policy/target-references.ts';
import {
  countOf,
  int32,
  listOf,
  mapOf,
  object,
  text,
  uint32,
  oneOf,
  truth,
  type CelRule,
  type Schema,
} from './schema.ts';

export const DURATION = text({
  rules: [{ rule: "duration(self) >= duration('1ms')", message: 'must be a duration of at least 1ms' }],
});

export const A_PORT: CelRule = { rule: '0 < self && self <= 65535', message: 'must be a port, from 1 to 65535' };

/** `selector` of a policy, and of a DestinationRule. */
export const LABEL_SELECTOR = object(
  {
    matchLabels: mapOf(
      text({
        max: LONGEST_VALUE,
        rules: [{ rule: '!self.contains("*")', message: 'a label is compared exactly: no wildcard in its value' }],
      }),
      {
        max: MOST_LABELS,
        description: 'Labels that a workload must have, all of them.',
        rules: [
          { rule: 'self.all(key, !key.contains("*"))', message: 'a label is compared exactly: no wildcard in its key' },
          { rule: 'self.all(key, key.size() > 0)', message: 'the key of a label must not be empty' },
        ],
      },
    ),
  },
  { description: 'The workloads of the namespace that are meant; all of them where this is left out.' },
);

/** `workloadSelector` of ServiceEntry and Sidecar. */
export const WORKLOAD_SELECTOR = object(
  {
    labels: mapOf(
      text({
        max: LONGEST_VALUE,
        rules: [{ rule: '!self.contains("*")', message: 'a label is compared exactly: no wildcard in its value' }],
      }),
      { max: 256 },
    ),
  },
  { description: 'Labels of the workloads that are meant.' },
);

const TARGET = object(
  {
    group: text({
      max: LONGEST_NAME,
      pattern: '^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
    }),
    kind: text({ min: 1, max: 63, pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$' }),
    name: text({ min: 1, max: LONGEST_NAME }),
    namespace: text({ rules: [{ rule: 'self.size() == 0', message: 'a target is in the namespace of its policy' }] }),
  },
  { required: ['kind', 'name'] },
);

/** What a policy is for: workloads by their labels, or objects by their names. */
export const ATTACHMENT = {
  selector: LABEL_SELECTOR,
  targetRef: TARGET,
  targetRefs: listOf(TARGET, { max: MOST_TARGETS, description: 'Gateways and services that enforce it.' }),
} as const;

export const ONE_ATTACHMENT: CelRule = {
  rule: `${countOf(Object.keys(ATTACHMENT))} <= 1`,
  message: 'only one of selector, targetRef and targetRefs can stand here',
};

/** `connectionPool` of a traffic policy, and the inbound ones of a Sidecar. */
export const CONNECTION_POOL: Schema = object({
  tcp: object({
    maxConnections: int32(),
    connectTimeout: DURATION,
    tcpKeepalive: object({ probes: uint32(), time: DURATION, interval: DURATION }),
    maxConnectionDuration: DURATION,
    // 0s switches it off.
    idleTimeout: text(),
  }),
  http: object({
    http1MaxPendingRequests: int32(),
    http2MaxRequests: int32(),
    maxRequestsPerConnection: int32(),
    maxRetries: int32(),
    idleTimeout: DURATION,
    h2UpgradePolicy: oneOf(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE']),
    useClientProtocol: truth(),
    maxConcurrentStreams: int32(),
    http2KeepAlive: object({ interval: DURATION, timeout: DURATION }),
  }),
});

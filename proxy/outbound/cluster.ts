import type { UpstreamCluster } from '../upstream/upstream-cluster.ts';
import type { Endpoint } from './endpoint.ts';

/** What is behind one port of one service, or of one address. Named as Envoy does: `outbound|<port>||<host>`. */
export type Cluster = UpstreamCluster<Endpoint>;

import type { Member } from './balancer.ts';
import { createCounts, type ClusterCounts } from './cluster-counts.ts';
import { UpstreamCluster, type ClusterSurroundings } from './upstream-cluster.ts';

/** Above this, destinations that nothing is open to are forgotten: a caller may name any number of them. */
const MAX_CLUSTERS = 1024;

/** All destinations that this process calls, shared by its listeners. */
export class UpstreamClusters<M extends Member> {
  readonly #surroundings: ClusterSurroundings;
  readonly #clusters = new Map<string, UpstreamCluster<M>>();
  /** By name, which several may share. */
  readonly #counts = new Map<string, ClusterCounts>();

  constructor(surroundings: ClusterSurroundings) {
    this.#surroundings = surroundings;
  }

  /** Those that are known at this moment. */
  get all(): Iterable<UpstreamCluster<M>> {
    return this.#clusters.values();
  }

  /** The one of this key, made where there is none. */
  open(key: string, name: string): UpstreamCluster<M> {
    let cluster = this.#clusters.get(key);
    if (cluster !== undefined) return cluster;
    if (this.#clusters.size >= MAX_CLUSTERS) this.#forgetUnused();
    let counts = this.#counts.get(name);
    if (counts === undefined) this.#counts.set(name, (counts = createCounts()));
    cluster = new UpstreamCluster<M>(name, counts, this.#surroundings);
    this.#clusters.set(key, cluster);
    return cluster;
  }

  /**
   * What was proven counts no more: every endpoint that anything was proven of is made anew, so that nothing of before is
   * lent again, and who waits for it waits for the new one. Exchanges under way end as they would have.
   */
  renew(): void {
    for (const cluster of this.#clusters.values()) cluster.refresh?.();
  }

  close(): void {
    for (const cluster of this.#clusters.values()) cluster.close();
    this.#clusters.clear();
  }

  /** A route that was kept is made anew when somebody asks for it: what is called is always one of these. */
  #forgetUnused(): void {
    const names = new Set<string>();
    for (const [key, cluster] of this.#clusters) {
      if (cluster.unused) {
        cluster.forgotten = true;
        this.#clusters.delete(key);
      } else {
        names.add(cluster.name);
      }
    }
    for (const name of this.#counts.keys()) if (!names.has(name) && !SHARED.has(name)) this.#counts.delete(name);
  }
}

/** Envoy's name for all that leaves the mesh: its counters must not begin again. */
const SHARED: ReadonlySet<string> = new Set(['PassthroughCluster']);

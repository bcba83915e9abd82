/** One kind of resource that is read. */
export interface ResourceKind {
  readonly kind: string;
  /** The group and version under which it is kept, whichever of `apiVersions` it was written in. */
  readonly apiVersion: string;
  readonly apiVersions: readonly string[];
  readonly plural: string;
  /** What kubectl takes besides. */
  readonly short: readonly string[];
  /** The field that holds what the resource says. */
  readonly content: 'spec' | 'data';
  /** What a cluster tells of itself and nobody writes: in a folder it means nothing. */
  readonly clusterOnly?: true;
  /** Whether it belongs to no namespace. */
  readonly clusterScoped?: true;
  /**
   * What is kept of an object that an API server sent, as its `spec`: the few fields that are needed, since a cluster has
   * tens of thousands of objects, and newer servers know fields that we do not. Never throws, whatever it is given.
   */
  readonly reduce?: (body: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;
}

/** A message of some type as bytes: what google.protobuf.Any carries. */
export interface TypedBytes {
  /** Such as `type.googleapis.com/istio.workload.Address`. */
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** One resource. Sessions compare versions and know nothing of the body. */
export interface XdsResource {
  readonly name: string;
  /** Changes whenever the body or the aliases do, and never comes back for another body. */
  readonly version: string;
  /** Other names by which it can be asked for; they may be shared with other resources. */
  readonly aliases: readonly string[];
  readonly body: TypedBytes;
}

/** What a subscriber says of one type: a change of its subscription, the answer to a push, or both at once. */
export interface DeltaRequest {
  /** The type as it is subscribed to; the bodies may be of another (Kubernetes kinds in MCP's envelope are). */
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Counts only in the first request of a type on a stream: what the client holds, by name. */
  readonly initialVersions: ReadonlyMap<string, string>;
  /** The push that this answers; undefined if none. */
  readonly nonce: string | undefined;
  /** Why that push was refused; undefined if it was accepted. */
  readonly refusal: string | undefined;
}

/** One push. */
export interface DeltaResponse {
  readonly typeUrl: string;
  /** For people. */
  readonly systemVersion: string;
  readonly nonce: string;
  readonly resources: readonly XdsResource[];
  /** Gone, or asked for and not there. */
  readonly removed: readonly string[];
  /** The push has further parts, and counts once the last of them is there: one without this mark. */
  readonly more: boolean;
}

/** The name that subscribes to everything. */
export const WILDCARD = '*';

import { create, toBinary } from '@bufbuild/protobuf';
import type { Distribution } from '../../ca/distribution/distribution.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { CONTROL_TYPES, ROOT_SECRET } from '../../src/wire/control-types.ts';
import { DeltaDiscoveryResponseSchema } from '../../src/wire/gen/envoy/service/discovery/v3/discovery_pb.ts';
import { writeResponse } from '../../src/wire/xds-codec.ts';
import { WILDCARD, type DeltaResponse } from '../../src/wire/xds-message.ts';
import { XdsServerSession } from '../../src/wire/xds-server-session.ts';

const TRUST_DOMAIN = parseTrustDomain('cluster.local');
const NO_VERSIONS: ReadonlyMap<string, string> = new Map();

/**
 * One sidecar as far as the CA's part of the work goes, without a connection: it asks for what a sidecar asks for, has
 * what is pushed written as bytes, and acknowledges it in a later turn.
 */
export class ScaleSubscriber {
  bytes = 0;
  /** When the last push of all that has come was written, by `performance.now()`. */
  last = 0;
  readonly pushes = new Map<string, number>();
  ended: unknown;
  readonly #session: XdsServerSession;

  constructor(
    distribution: Distribution,
    who: { readonly namespace: string; readonly name: string; readonly serviceAccount: string },
    addresses: readonly string[],
  ) {
    const { namespace, name, serviceAccount } = who;
    const identity = SpiffeId.ofWorkload(TRUST_DOMAIN, { namespace, serviceAccount });
    const subscriber = distribution.subscribe({ namespace, name }, { identity });
    this.#session = new XdsServerSession({ source: subscriber.source, send: (response) => this.#take(response) });
    subscriber.opened({
      changed: (typeUrl, names) => this.#session.changed(typeUrl, names),
      unsettled: (typeUrl) => this.#session.unsettled(typeUrl),
      end: (error) => (this.ended ??= error),
    });
    for (const typeUrl of Object.values(CONTROL_TYPES)) {
      const names =
        typeUrl === CONTROL_TYPES.address ? addresses : [typeUrl === CONTROL_TYPES.secret ? ROOT_SECRET : WILDCARD];
      this.#request(typeUrl, names, undefined);
    }
  }

  #take(response: DeltaResponse): boolean {
    this.bytes += toBinary(
      DeltaDiscoveryResponseSchema,
      create(DeltaDiscoveryResponseSchema, writeResponse(response)),
    ).length;
    this.last = performance.now();
    const { typeUrl, nonce, more } = response;
    if (!more) this.pushes.set(typeUrl, (this.pushes.get(typeUrl) ?? 0) + 1);
    setImmediate(() => this.#request(typeUrl, [], nonce));
    return true;
  }

  #request(typeUrl: string, subscribe: readonly string[], nonce: string | undefined): void {
    this.#session.received({
      typeUrl,
      subscribe,
      unsubscribe: [],
      initialVersions: NO_VERSIONS,
      nonce,
      refusal: undefined,
    });
  }
}

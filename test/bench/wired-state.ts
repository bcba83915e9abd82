import { fromBinary } from '@bufbuild/protobuf';
import type { PushedState } from '../../proxy/agent/pushed-state.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import { DeltaDiscoveryResponseSchema } from '../../src/wire/gen/envoy/service/discovery/v3/discovery_pb.ts';
import { writeMessage } from '../../src/wire/grpc-service.ts';
import { XdsClientSession } from '../../src/wire/xds-client-session.ts';
import { readResponse, writeResponse } from '../../src/wire/xds-codec.ts';
import type { DeltaRequest, XdsResource } from '../../src/wire/xds-message.ts';
import { XdsServerSession } from '../../src/wire/xds-server-session.ts';

/** A sidecar's state at the end of the control stream, with the stream's messages as bytes and without a network. */
export class WiredState {
  readonly #session = new XdsClientSession();
  #answered: (refusal: string | undefined) => void = () => undefined;
  #nonce = 0;

  constructor(state: PushedState) {
    for (const typeUrl of Object.values(CONTROL_TYPES)) {
      this.#session.declare(typeUrl, state.owner(typeUrl));
      this.#session.subscribe(typeUrl, ['*']);
    }
    this.#session.connected((request) => {
      if (request.nonce !== undefined) this.#answered(request.refusal);
      return true;
    });
  }

  /** Takes the messages of a push, each when the one before it was answered. Resolves when all of it is in force. */
  async take(messages: readonly Uint8Array[]): Promise<void> {
    for (const message of messages) {
      const { promise, resolve } = Promise.withResolvers<string | undefined>();
      this.#answered = resolve;
      // A message comes in a turn of its own.
      if (messages.length > 1) await new Promise((next) => setImmediate(next));
      this.#nonce += 1;
      this.#session.received({
        ...readResponse(fromBinary(DeltaDiscoveryResponseSchema, message)),
        nonce: `${this.#nonce}`,
      });
      const refusal = await promise;
      if (refusal !== undefined) throw new Error(refusal);
    }
  }
}

/** The messages in which the CA sends these. */
export function messagesOf(typeUrl: string, resources: readonly XdsResource[]): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const byName = new Map(resources.map((resource) => [resource.name, resource]));
  const found = (name: string): XdsResource[] => [byName.get(name) ?? []].flat();
  const session = new XdsServerSession({
    source: { view: () => ({ version: '1', find: found, names: () => byName.keys() }) },
    send: (response) => messages.push(writeMessage(DeltaDiscoveryResponseSchema, writeResponse(response))) > 0,
  });
  const asked: DeltaRequest = {
    typeUrl,
    subscribe: ['*'],
    unsubscribe: [],
    initialVersions: new Map(),
    nonce: undefined,
    refusal: undefined,
  };
  session.received(asked);
  for (let sent = 0; sent < messages.length;) {
    sent = messages.length;
    session.received({ ...asked, subscribe: [], nonce: String(sent) });
  }
  return messages;
}

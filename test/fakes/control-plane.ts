import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { BoundService } from '../../src/wire/grpc-service.ts';
import { createDiscovery, type DiscoveryStream } from '../../src/wire/xds-service.ts';
import type { TypeView } from '../../src/wire/xds-server-type.ts';

/** The control stream of a CA whose resources a test changes, for whoever subscribes. */
export class ControlPlane {
  readonly service: BoundService;
  readonly #types = new Map<string, ReadonlyMap<string, XdsResource>>();
  readonly #streams = new Set<DiscoveryStream>();
  #version = 0;

  constructor() {
    this.service = createDiscovery({
      subscribe: async () => {
        let own: DiscoveryStream | undefined;
        return {
          source: { view: (typeUrl) => this.#view(typeUrl) },
          opened: (stream) => this.#streams.add((own = stream)),
          closed: () => {
            if (own !== undefined) this.#streams.delete(own);
          },
        };
      },
    });
  }

  /** Changes resources of one type at once, and tells the streams. */
  set(typeUrl: string, changed: readonly XdsResource[], removed: readonly string[] = []): void {
    const after = new Map(this.#types.get(typeUrl));
    for (const name of removed) after.delete(name);
    for (const resource of changed) after.set(resource.name, resource);
    this.#types.set(typeUrl, after);
    this.#version += 1;
    const names = [...changed.map(({ name }) => name), ...removed];
    for (const stream of this.#streams) stream.changed(typeUrl, names);
  }

  #view(typeUrl: string): TypeView {
    const all = this.#types.get(typeUrl) ?? new Map<string, XdsResource>();
    return {
      version: String(this.#version),
      find: (name) => {
        const found = all.get(name);
        return found === undefined ? [] : [found];
      },
      names: () => all.keys(),
    };
  }
}

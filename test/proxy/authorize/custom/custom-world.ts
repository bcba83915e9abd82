import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExtensionProvider } from '../../../../src/resources/extension-provider.ts';
import { parseMesh } from '../../../../src/resources/mesh.ts';
import { TestMesh } from '../../../fakes/mesh-certificates.ts';
import { sidecarConfig, TestBook, workload, type ConfigFields } from '../../sidecar-world.ts';
import { TestSidecar } from '../../test-sidecar.ts';

/** The providers of mesh settings that say this. */
export function providersOf(extensionProviders: readonly object[]): readonly ExtensionProvider[] {
  const { value, issues } = parseMesh({
    spec: { mesh: JSON.stringify({ extensionProviders }) },
    origin: { file: undefined, locate: () => ({ line: 1, column: 1 }) },
  });
  if (value === undefined) throw new Error(JSON.stringify(issues));
  return value.extensionProviders;
}

/** A policy that asks this provider about everything, or about the paths. */
export function custom(provider: string, paths?: readonly string[]): object {
  const rule = paths === undefined ? {} : { to: [{ operation: { paths } }] };
  return { action: 'CUSTOM', provider: { name: provider }, rules: [rule] };
}

/** A sidecar before an application that says what it received. */
export class CustomWorld {
  readonly seen: { incoming: IncomingMessage; body: string }[] = [];
  readonly book = new TestBook();
  readonly #stops: (() => unknown)[] = [];
  readonly #mesh: TestMesh;
  #application: Server | undefined;
  answer: (incoming: IncomingMessage, answer: ServerResponse) => void = (_incoming, answer) => answer.end('books');

  private constructor(mesh: TestMesh) {
    this.#mesh = mesh;
    this.book.set('127.0.0.1', { kind: 'outside' });
  }

  static async create(): Promise<CustomWorld> {
    const world = new CustomWorld(await TestMesh.create());
    const application = createServer((incoming, answer) => {
      let body = '';
      incoming.setEncoding('latin1').on('data', (piece: string) => (body += piece));
      incoming.on('end', () => {
        world.seen.push({ incoming, body });
        world.answer(incoming, answer);
      });
    });
    await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
    world.#application = application;
    return world;
  }

  get mesh(): TestMesh {
    return this.#mesh;
  }

  get applicationPort(): number {
    const address = this.#application?.address() as AddressInfo | undefined;
    return address?.port ?? 0;
  }

  config(
    policies: Readonly<Record<string, object>>,
    providers: readonly object[],
    inbound: NonNullable<ConfigFields['inbound']>[number] = {},
  ): ReturnType<typeof sidecarConfig> {
    return sidecarConfig({
      workload: workload({ name: 'catalog', address: '127.0.0.1' }),
      rootsPem: this.#mesh.rootPem,
      policies,
      mesh: { extensionProviders: providersOf(providers) },
      inbound: [{ applicationPort: this.applicationPort, ...inbound }],
    });
  }

  async sidecar(config: ReturnType<typeof sidecarConfig>): Promise<TestSidecar> {
    const identity = await this.#mesh.issue('spiffe://cluster.local/ns/shop/sa/catalog');
    const sidecar = await TestSidecar.start({
      config,
      identity,
      book: this.book,
      lookup: async (host) => (/^[\d.]+$/.test(host) ? [host] : []),
    });
    this.#stops.push(() => sidecar.close());
    return sidecar;
  }

  /** Called when the world ends, last first. */
  atEnd(stop: () => unknown): void {
    this.#stops.push(stop);
  }

  async end(): Promise<void> {
    for (const stop of this.#stops.splice(0).toReversed()) await stop();
    this.#application?.closeAllConnections();
    await new Promise((resolve) => this.#application?.close(resolve));
  }
}

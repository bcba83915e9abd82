import { shownCertificate } from './certificates.ts';
import { Load, type LoadResult } from './load.ts';
import { callThroughSidecar, type Mesh } from './mesh.ts';

export interface Rotation {
  /** Through the sidecars of all four services. */
  readonly requests: LoadResult;
  /** Over one TCP connection from the orders to the stock. */
  readonly questions: LoadResult;
  readonly certificates: readonly {
    readonly workload: string;
    readonly before: string;
    readonly after: string;
  }[];
  /** Seconds. */
  readonly took: number;
}

/** Milliseconds between two looks at the certificates. */
const LOOK = 250;

/** Calls of each kind. Fewer would be no load, and what is dropped between them not seen. */
export const ENOUGH = 100;

/**
 * Calls without a break until every sidecar shows another certificate than at the start, and a moment longer: both what
 * was opened before and what is opened after has to work. A machine that is busy gets the time that enough calls take,
 * but no more than a certificate's lifetime.
 */
export async function rotateUnderLoad({ members, visitor }: Mesh, lifetime: number): Promise<Rotation> {
  const [frontend, catalog, orders, stock] = members;
  if (frontend === undefined || catalog === undefined || orders === undefined || stock === undefined) {
    throw new TypeError('the demo has four services');
  }
  const look = (): Promise<string[]> =>
    Promise.all(members.map(async (member) => (await shownCertificate(member, visitor)).serial));
  const start = performance.now();
  const before = await look();
  // Each of these goes through all four: the frontend's sidecar, catalog, orders, and by TCP the stock.
  const http = callThroughSidecar(frontend.address, catalog.service, { path: '/products/availability' });
  const asked = callThroughSidecar(orders.address, stock.service);
  if (http.kind !== 'http' || asked.kind !== 'stock') throw new TypeError('the stock speaks TCP, the catalog HTTP');
  const load = new Load({ http, stock: asked });
  let after = before;
  const isOver = (): boolean => load.least >= ENOUGH && after.every((serial, index) => serial !== before[index]);
  while (!isOver() && performance.now() - start < lifetime) {
    await new Promise((resolve) => setTimeout(resolve, LOOK));
    after = await look();
  }
  const result = await load.stop();
  return {
    requests: result.http,
    questions: result.stock,
    certificates: members.map(({ service }, index) => {
      return { workload: service.workload, before: before[index] ?? '', after: after[index] ?? '' };
    }),
    took: (performance.now() - start) / 1000,
  };
}

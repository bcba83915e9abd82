import { SealwrightError } from '../core/errors.ts';
import type { KubernetesClient } from './api-client.ts';
import type { ApiResource } from './api-resource.ts';
import type { Replacement } from './reflected-objects.ts';
import type { ReflectorQuery } from './reflector-options.ts';

export interface Listing {
  readonly client: Pick<KubernetesClient, 'list'>;
  readonly resource: ApiResource;
  readonly query: ReflectorQuery;
  /** Objects in one page. */
  readonly limit: number;
  /** Takes what is listed; asked again where the listing begins again. */
  readonly begin: () => Replacement;
}

/** Everything of one moment. It takes the place of what was held once it is committed. */
export interface Listed {
  readonly replacement: Replacement;
  /** From where a watch goes on. */
  readonly resourceVersion: string;
}

/**
 * Lists everything in pages, which are of one moment. Where the server has dropped the history of that moment before the
 * last page, everything is listed in one piece.
 *
 * @throws SealwrightError of the client
 */
export async function listInPages({ client, resource, query, limit, begin }: Listing): Promise<Listed> {
  let replacement = begin();
  let next: string | undefined;
  let size: number | undefined = limit;
  for (;;) {
    const page = { ...(size === undefined ? {} : { limit: size }), ...(next === undefined ? {} : { continue: next }) };
    try {
      const { items, resourceVersion, continue: rest } = await client.list(resource, { ...query, ...page });
      for (const object of items) replacement.put(object);
      if (rest === undefined) return { replacement, resourceVersion };
      next = rest;
    } catch (error) {
      const lost = next !== undefined && error instanceof SealwrightError && error.code === 'kubernetes_gone';
      if (!lost || size === undefined) throw error;
      replacement = begin();
      [next, size] = [undefined, undefined];
    }
  }
}

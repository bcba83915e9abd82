import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../structure/sources.ts';
import type { Cluster } from './cluster.ts';

/** Applies files of `manifests/rbac`, by their names without the ending: roles and bindings just as they are shipped. */
export async function installManifests(cluster: Cluster, files: readonly string[]): Promise<void> {
  for (const file of files) await cluster.apply(readFileSync(join(PROJECT, `manifests/rbac/${file}.yaml`), 'utf8'));
}

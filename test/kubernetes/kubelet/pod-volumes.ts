import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Cluster } from '../cluster.ts';
import { podField, type Pod, type Volume } from './pod-spec.ts';

type Items = readonly { readonly key: string; readonly path: string }[] | undefined;

/** Files below a folder that hold what the volumes of a pod say, asked of the API server as a kubelet asks. */
export class PodVolumes {
  readonly #cluster: Cluster;
  readonly #pod: Pod;
  readonly #folder: string;
  readonly #address: string;

  constructor(parts: { cluster: Cluster; pod: Pod; folder: string; address: string }) {
    this.#cluster = parts.cluster;
    this.#pod = parts.pod;
    this.#folder = parts.folder;
    this.#address = parts.address;
  }

  /** Writes everything anew: tokens are new ones, ConfigMaps as they are now. */
  async fill(): Promise<void> {
    for (const volume of this.#pod.spec.volumes) {
      const folder = join(this.#folder, volume.name);
      mkdirSync(folder, { recursive: true });
      if (volume.emptyDir !== undefined) {
        chmodSync(folder, 0o777);
        continue;
      }
      for (const [path, text] of Object.entries(await this.#contentOf(volume))) {
        const file = join(folder, path);
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, text);
      }
    }
  }

  async #contentOf(volume: Volume): Promise<Record<string, string>> {
    const { projected, configMap, secret, downwardAPI } = volume;
    if (configMap !== undefined) return this.#data('configmaps', configMap.name, configMap);
    if (secret !== undefined) return this.#data('secrets', secret.secretName, secret);
    if (downwardAPI !== undefined) return this.#fields(downwardAPI.items);
    if (projected === undefined) throw new Error(`volume ${volume.name} is of a kind that is not known here`);
    const content: Record<string, string> = {};
    for (const source of projected.sources) {
      if (source.serviceAccountToken !== undefined) {
        const { path, audience, expirationSeconds: seconds } = source.serviceAccountToken;
        const { name, namespace, uid } = this.#pod.metadata;
        content[path] = await this.#cluster.token({
          namespace,
          serviceAccount: this.#pod.spec.serviceAccountName,
          audiences: audience === undefined ? [] : [audience],
          pod: { name, uid },
          seconds,
        });
      }
      if (source.configMap !== undefined) {
        Object.assign(content, await this.#data('configmaps', source.configMap.name, source.configMap));
      }
      if (source.secret !== undefined) {
        Object.assign(content, await this.#data('secrets', source.secret.name, source.secret));
      }
      if (source.downwardAPI !== undefined) Object.assign(content, this.#fields(source.downwardAPI.items));
    }
    return content;
  }

  /** The keys of a ConfigMap or a Secret. @throws Error where it is missing and not optional: the pod cannot start */
  async #data(
    plural: 'configmaps' | 'secrets',
    name: string,
    { items, optional }: { readonly items?: Items; readonly optional: boolean },
  ): Promise<Record<string, string>> {
    const path = `/api/v1/namespaces/${this.#pod.metadata.namespace}/${plural}/${name}`;
    const { status, body } = await this.#cluster.plane.api('GET', path);
    if (status === 404 && optional) return {};
    if (status !== 200) throw new Error(`GET ${path}: ${status}`);
    const data = (body['data'] ?? {}) as Record<string, string>;
    const text = (key: string): string =>
      plural === 'secrets' ? Buffer.from(data[key] ?? '', 'base64').toString() : (data[key] ?? '');
    const wanted = items ?? Object.keys(data).map((key) => ({ key, path: key }));
    return Object.fromEntries(wanted.map(({ key, path: file }) => [file, text(key)]));
  }

  #fields(
    list: readonly { readonly path: string; readonly fieldRef?: { readonly fieldPath: string } | undefined }[],
  ): Record<string, string> {
    return Object.fromEntries(
      list.map(({ path, fieldRef }) => [path, podField(this.#pod, fieldRef?.fieldPath ?? '', this.#address)]),
    );
  }
}

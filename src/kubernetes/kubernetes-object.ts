/** What every object of the API server has besides what it says. */
export interface ObjectMeta {
  readonly name: string;
  /** Empty for an object of the whole cluster. */
  readonly namespace: string;
  readonly uid: string;
  /** Opaque; the same text stands for the same content. */
  readonly resourceVersion: string;
  readonly generation: number | undefined;
  /** Wall milliseconds; 0 where the object says none. */
  readonly creationTimestamp: number;
  /** Wall milliseconds; set while the object waits for its finalizers. */
  readonly deletionTimestamp: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** One object of the API server. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  /** The whole as it came, metadata included. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** What a list does not repeat in each of its items. */
export interface ObjectType {
  readonly apiVersion: string;
  readonly kind: string;
}

/**
 * Reads one object, or answers nothing where it cannot even be told which one it is. Everything else that is wrong in
 * its metadata is taken as not said: the server checks all of it, and an object must not vanish over a label.
 */
export function readKubernetesObject(value: unknown, type: ObjectType): KubernetesObject | undefined {
  if (!isRecord(value)) return undefined;
  const metadata = isRecord(value['metadata']) ? value['metadata'] : {};
  const { name, namespace, uid, resourceVersion, generation } = metadata;
  // Reviews have no name; all that can be kept or listed does.
  if (name !== undefined && typeof name !== 'string') return undefined;
  return {
    apiVersion: textOr(value['apiVersion'], type.apiVersion),
    kind: textOr(value['kind'], type.kind),
    metadata: {
      name: name ?? '',
      namespace: textOr(namespace, ''),
      uid: textOr(uid, ''),
      resourceVersion: textOr(resourceVersion, ''),
      generation: typeof generation === 'number' ? generation : undefined,
      creationTimestamp: timeOf(metadata['creationTimestamp']) ?? 0,
      deletionTimestamp: timeOf(metadata['deletionTimestamp']),
      labels: textsOf(metadata['labels']),
      annotations: textsOf(metadata['annotations']),
    },
    body: value,
  };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}

function timeOf(value: unknown): number | undefined {
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  if (!isRecord(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

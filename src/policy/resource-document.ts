/** A place in a text. Both are counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One Kubernetes-style resource as it came, unread, with what is needed to say where in it something is wrong. */
export interface ResourceDocument {
  /** Plain JSON: what a YAML or JSON parser made of the text. Nothing about its shape is believed. */
  readonly value: unknown;
  /** The name for messages. */
  readonly file?: string | undefined;
  /** Where a field stands, such as `spec.rules[0].to[1]`, or the nearest object around it. */
  readonly locate?: ((path: string) => Position | undefined) | undefined;
  /** The namespace of a resource that names none. Default `default`, as the Kubernetes client has it. */
  readonly defaultNamespace?: string | undefined;
}

/** The name of one resource. */
export interface ResourceName {
  readonly namespace: string;
  readonly name: string;
}

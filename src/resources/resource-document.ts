import { parseFieldPath } from '../config/field-path.ts';
import type { Position } from '../config/yaml-document.ts';
import type { Resource } from './resource.ts';
import { RESOURCE_KINDS } from './kind.ts';

/** A resource as the whole document that it was written as, in the version under which it is kept. */
export function documentOf(resource: Resource): Readonly<Record<string, unknown>> {
  const { apiVersion, kind, namespace, name, labels, annotations, creationTimestamp, uid, spec } = resource;
  const content = RESOURCE_KINDS.find((row) => row.kind === kind)?.content ?? 'spec';
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      creationTimestamp: new Date(creationTimestamp).toISOString(),
      ...(uid === undefined ? {} : { uid }),
    },
    [content]: spec,
  };
}

/** The same for a reader that says where in the file something is wrong. */
export function readableDocumentOf(resource: Resource): {
  readonly value: unknown;
  readonly file: string | undefined;
  readonly locate: (path: string) => Position | undefined;
} {
  const { file } = resource.origin;
  return { value: documentOf(resource), file, locate: (path) => resource.origin.locate(parseFieldPath(path)) };
}

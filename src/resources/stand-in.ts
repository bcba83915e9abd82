import type { KubernetesObject } from '../kubernetes/kubernetes-object.ts';
import { DRY_RUN } from '../policy/resource-metadata.ts';
import { RESOURCE_KINDS, type ResourceKind } from './kind.ts';
import { isLabelValue, isQualifiedName } from './kubernetes-name.ts';
import { readAuthorizationPolicy, readPeerAuthentication } from './policy-resource.ts';
import { makeResource, type Resource, type ResourceOrigin } from './resource.ts';

const NOWHERE: ResourceOrigin = Object.freeze({ file: undefined, locate: () => undefined });

type Scope = Readonly<Record<string, unknown>>;

/**
 * What is in force in the place of a policy that was never read (invariant 5): for an AuthorizationPolicy one that denies
 * everything, for a PeerAuthentication STRICT, for a RequestAuthentication, whose tokens nobody can judge, again one that
 * denies everything. For the workloads that it selects; where that cannot be read either, for all of its namespace, as if
 * it selected nothing. A policy that was only to be tried denies nothing. Of other kinds nothing stands in.
 */
export function standInFor(kind: ResourceKind, object: KubernetesObject): Resource | undefined {
  try {
    return standIn(kind, object, scopeOf(object.body['spec']));
  } catch {
    // Whatever it was: it must not be what leaves a policy out, and so opens what that was to close.
    return standIn(kind, object, {});
  }
}

function standIn({ kind }: ResourceKind, object: KubernetesObject, scope: Scope): Resource | undefined {
  switch (kind) {
    case 'AuthorizationPolicy': {
      const dryRun = object.metadata.annotations[DRY_RUN];
      const tried = dryRun !== undefined && TRUE.has(dryRun);
      return make('AuthorizationPolicy', object, {
        spec: { ...scope, action: 'DENY', rules: [{}] },
        annotations: tried ? { [DRY_RUN]: 'true' } : {},
      });
    }
    case 'PeerAuthentication':
      return make('PeerAuthentication', object, { spec: { ...selectorOf(scope), mtls: { mode: 'STRICT' } } });
    case 'RequestAuthentication':
      return make('AuthorizationPolicy', object, {
        spec: { ...scope, action: 'DENY', rules: [{}] },
        // No API server takes an underscore in a name: nobody can write a policy of this name, and delete it, to be rid of it.
        name: `sealwright_stands_in_${object.metadata.uid}`,
      });
    default:
      return undefined;
  }
}

/** What Go takes for true. */
const TRUE: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);

interface Said {
  readonly spec: Scope;
  readonly name?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

function make(
  kindName: string,
  { metadata }: KubernetesObject,
  { spec, name, annotations = {} }: Said,
): Resource | undefined {
  const kind = RESOURCE_KINDS.find((row) => row.kind === kindName);
  if (kind === undefined) return undefined;
  const { namespace, creationTimestamp, uid } = metadata;
  const about = { namespace, name: name ?? metadata.name, labels: {}, creationTimestamp, uid, origin: NOWHERE };
  const resource = makeResource({ kind, ...about, annotations: { ...annotations }, spec });
  // A scope that its own reader does not take is no scope: then it is for the whole namespace.
  const { issues } =
    kindName === 'PeerAuthentication' ? readPeerAuthentication(resource) : readAuthorizationPolicy(resource);
  const { selector: _, targetRefs: __, ...rest } = spec;
  const taken = issues.every(({ severity }) => severity !== 'error');
  return taken ? resource : makeResource({ kind, ...about, annotations: { ...annotations }, spec: rest });
}

/** Whom a policy is for, where that much of it can be read. */
function scopeOf(spec: unknown): Scope {
  if (!isRecord(spec)) return {};
  const { selector, targetRef, targetRefs } = spec;
  const given = [selector, targetRef, targetRefs].filter((value) => value !== undefined && value !== null);
  if (given.length !== 1) return {};
  if (selector !== undefined && selector !== null) {
    if (!isRecord(selector)) return {};
    const { matchLabels } = selector;
    const labels = isRecord(matchLabels) ? Object.entries(matchLabels) : [];
    const good = labels.every(
      ([key, value]) => isQualifiedName(key) && typeof value === 'string' && isLabelValue(value),
    );
    return good && labels.length > 0 && Object.keys(selector).length === 1
      ? { selector: { matchLabels: Object.fromEntries(labels) } }
      : {};
  }
  // No sidecar enforces what is attached to a gateway; in its place nothing is denied to those whom it was not for.
  const targets = readTargets(targetRefs ?? [targetRef]);
  return targets === undefined ? {} : { targetRefs: targets };
}

/** A copy of what can be read in full, however deeply the rest is nested; undefined where there is a rest. */
function readTargets(value: unknown): Scope[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const items: readonly unknown[] = value;
  const targets = items.filter(isRecord).map((target) => Object.entries(target));
  const good = targets.every((fields) =>
    fields.every(([name, text]) => TARGET_FIELDS.has(name) && typeof text === 'string'),
  );
  return good && targets.length === items.length ? targets.map((fields) => Object.fromEntries(fields)) : undefined;
}

const TARGET_FIELDS: ReadonlySet<string> = new Set(['group', 'kind', 'name', 'namespace']);

function selectorOf({ selector }: Scope): Scope {
  return selector === undefined ? {} : { selector };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

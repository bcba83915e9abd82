import type { MtlsMode, PeerAuthentication } from './peer-authentication.ts';
import type { ResourceName } from './resource-document.ts';
import { selects } from './workload-selector.ts';

/** What one port of a workload demands, and which policy said so. */
export interface EffectiveMtlsMode {
  readonly mode: Exclude<MtlsMode, 'UNSET'>;
  readonly level: 'port' | 'workload' | 'namespace' | 'mesh' | 'default';
  /** Nothing at level `default`. */
  readonly policy: ResourceName | undefined;
}

export interface MtlsQuestion {
  readonly policies: readonly PeerAuthentication[];
  readonly workload: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
  readonly rootNamespace: string;
  /** The port that the workload listens on. */
  readonly port: number;
}

/** Istio's default: take what comes, and do not count plaintext as authenticated. */
const DEFAULT: EffectiveMtlsMode = Object.freeze({ mode: 'PERMISSIVE', level: 'default', policy: undefined });

/**
 * The mode of one port: port, workload, namespace, mesh, in that order; UNSET asks the next. At each level the oldest
 * policy alone counts, also where it says UNSET. A policy with a selector in the root namespace counts nowhere, not
 * even for workloads of the root namespace (pilot/pkg/model/authentication.go, ComposePeerAuthentication).
 */
export function effectiveMtlsMode({ port, ...question }: MtlsQuestion): EffectiveMtlsMode {
  return mtlsModes(question)(port);
}

/** The same for all ports of one workload: the policies are looked through once. */
export function mtlsModes({
  policies,
  workload,
  rootNamespace,
}: Omit<MtlsQuestion, 'port'>): (port: number) => EffectiveMtlsMode {
  const wide = policies.filter(({ selector }) => selector.size === 0);
  const mesh = oldest(wide.filter(({ namespace }) => namespace === rootNamespace));
  const ofNamespace =
    workload.namespace === rootNamespace
      ? undefined
      : oldest(wide.filter(({ namespace }) => namespace === workload.namespace));
  const ofWorkload = oldest(
    policies.filter(
      ({ namespace, selector }) =>
        selector.size > 0 &&
        namespace !== rootNamespace &&
        namespace === workload.namespace &&
        selects(selector, workload.labels),
    ),
  );
  const above = firstThatSays([
    { level: 'workload', policy: ofWorkload, mode: ofWorkload?.mode },
    { level: 'namespace', policy: ofNamespace, mode: ofNamespace?.mode },
    { level: 'mesh', policy: mesh, mode: mesh?.mode },
  ]);
  return (port) =>
    firstThatSays([{ level: 'port', policy: ofWorkload, mode: ofWorkload?.ports.get(port) }]) ?? above ?? DEFAULT;
}

interface Level {
  readonly level: EffectiveMtlsMode['level'];
  readonly policy: PeerAuthentication | undefined;
  readonly mode: MtlsMode | undefined;
}

function firstThatSays(levels: readonly Level[]): EffectiveMtlsMode | undefined {
  for (const { level, policy, mode } of levels) {
    if (policy === undefined || mode === undefined || mode === 'UNSET') continue;
    return Object.freeze({ mode, level, policy: { namespace: policy.namespace, name: policy.name } });
  }
  return undefined;
}

/** Which of several at one level counts: by creation; one of unknown age comes last, and the name decides between equals, so that the answer never wavers. */
export function oldest(policies: readonly PeerAuthentication[]): PeerAuthentication | undefined {
  return policies.toSorted((a, b) => {
    const [x, y] = [a.createdAt ?? Infinity, b.createdAt ?? Infinity];
    if (x !== y) return x < y ? -1 : 1;
    return a.name < b.name ? -1 : 1;
  })[0];
}

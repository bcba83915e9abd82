/** `namespace/host` of an egress listener; either may be `*`, the namespace `.` is the Sidecar's own. */
export interface SidecarHost {
  readonly namespace: string;
  readonly host: string;
  /** Written as `~namespace/host`: what is left out. */
  readonly excluded: boolean;
}

/** Reads one entry of `hosts`, right or wrong. */
export function hostOf(written: string): SidecarHost {
  const slash = written.indexOf('/');
  const namespace = written.slice(0, Math.max(0, slash));
  const excluded = namespace.startsWith('~');
  return Object.freeze({
    namespace: excluded ? namespace.slice(1) : namespace,
    host: written.slice(slash + 1),
    excluded,
  });
}

/** Host and port of a request as its client wrote them. */
export interface Authority {
  /** Lower case, without brackets and without a final dot. */
  readonly host: string;
  /** Undefined where none is written. */
  readonly port: number | undefined;
}

/** Reads an authority that the engine has let through. Undefined for what names no host or an impossible port. */
export function readAuthority(text: string): Authority | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{0,5}))?$/.exec(text);
  const written = match?.[1] ?? match?.[2];
  if (written === undefined) return undefined;
  const port = match?.[3] === undefined || match[3] === '' ? undefined : Number(match[3]);
  if (port !== undefined && (port === 0 || port > 65_535)) return undefined;
  const host = written.toLowerCase();
  return { host: host.endsWith('.') ? host.slice(0, -1) : host, port };
}

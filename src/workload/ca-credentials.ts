import { SealwrightError } from '../core/errors.ts';
import type { ChannelTls } from '../wire/grpc-client.ts';
import type { CaRoots } from './ca-roots.ts';
import type { HeldIdentity } from './held-identity.ts';
import { readToken, subjectOfToken } from './token-file.ts';

/** Where the CA is and by what a workload proves itself to it. */
export interface CaAccess {
  /** `host:port`. */
  readonly address: string;
  /** What its certificate must name, where that is not the host of the address. */
  readonly serverName: string | undefined;
  readonly roots: CaRoots;
  readonly tokenFile: string;
  /** Istio's name of the cluster that the workload is in. */
  readonly clusterId: string;
}

export interface CaCredentials {
  readonly tls: ChannelTls;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * How to prove oneself for one connection, read anew: the token as it now stands in its file, and what is held, unless
 * it has expired or the token is another account's, in which case the token decides: it is what is put here from
 * outside, and the CA refuses two proofs that disagree.
 *
 * @throws SealwrightError `token_file_unreadable`, `ca_root_unreadable`
 */
export async function credentialsFor(
  { roots, serverName, tokenFile, clusterId }: CaAccess,
  held: HeldIdentity | undefined,
  now: number,
): Promise<CaCredentials> {
  const pem = await roots.read();
  const valid = held !== undefined && now < held.notAfter ? held : undefined;
  // A token that cannot be read matters only where there is nothing else.
  const token = await readToken(tokenFile).catch((error: unknown) => {
    if (valid === undefined) throw error;
  });
  if (token === undefined && valid === undefined) {
    throw new SealwrightError('token_file_unreadable', { file: tokenFile, reason: 'there is none' });
  }
  const own = valid !== undefined && !(token !== undefined && isForAnother(token, valid)) ? valid : undefined;
  return {
    tls: {
      roots: pem,
      ...(serverName === undefined ? {} : { serverName }),
      ...(own === undefined ? {} : { identity: { certificateChain: own.chainPem, privateKey: own.keyPem } }),
    },
    headers: { clusterid: clusterId, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
  };
}

/** Whether a token names another service account than the one whose identity is held. */
export function isForAnother(token: string, { identity }: HeldIdentity): boolean {
  const subject = subjectOfToken(token);
  const { workload } = identity;
  if (subject === undefined || workload === undefined) return false;
  return subject.namespace !== workload.namespace || subject.serviceAccount !== workload.serviceAccount;
}

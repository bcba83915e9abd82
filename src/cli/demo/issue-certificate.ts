import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { createCsr } from '../../pki/csr-writer.ts';
import { createKeyPair, encodePrivateKey } from '../../pki/keys.ts';
import { openChannel, type Channel } from '../../wire/grpc-client.ts';
import { IstioCertificateService } from '../../wire/services.ts';
import type { DemoProcesses } from './demo-processes.ts';

/** A certificate and its key, as TLS takes them. */
export interface OwnCertificate {
  readonly cert: string;
  readonly key: string;
}

/** A channel to the CA, by TLS; with a certificate of the caller's own where there is one. */
export async function openCaChannel(
  processes: DemoProcesses,
  clock: Pick<Clock, 'now'>,
  own?: OwnCertificate,
): Promise<Channel> {
  const roots = await readFile(join(processes.folder, 'ca/root-cert.pem'), 'utf8');
  const identity = own === undefined ? {} : { identity: { certificateChain: own.cert, privateKey: own.key } };
  return openChannel({ address: `localhost:${processes.caPort}`, clock, tls: { roots, ...identity } });
}

/** `CreateCertificate`, Istio's call. Answers the chain, the root bundle last. */
export async function issueCertificate(
  channel: Channel,
  { csr, token }: { readonly csr: string; readonly token?: string },
): Promise<readonly string[]> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const settings = { timeout: 10_000, headers };
  return (await channel.unary(IstioCertificateService.method.createCertificate, { csr }, settings)).certChain;
}

/** A certificate for a service account that has no sidecar. */
export async function obtainCertificate(
  processes: DemoProcesses,
  account: string,
  clock: Pick<Clock, 'now'>,
): Promise<OwnCertificate> {
  const keyPair = await createKeyPair();
  const channel = await openCaChannel(processes, clock);
  try {
    const token = await processes.mint(account);
    const [cert = ''] = await issueCertificate(channel, { csr: createCsr({ keyPair }), token });
    return { cert, key: encodePrivateKey(keyPair.privateKey) };
  } finally {
    channel.close();
  }
}

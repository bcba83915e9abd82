import { generateKeyPairSync } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { SealwrightError } from '../../core/errors.ts';
import { createCsr } from '../../pki/csr-writer.ts';
import { createKeyPair, encodePrivateKey } from '../../pki/keys.ts';
import { encodePem } from '../../pki/pem.ts';
import type { DemoProcesses } from './demo-processes.ts';
import { issueCertificate, openCaChannel } from './issue-certificate.ts';

/** One thing that was tried at the CA's own API, and whether it came out as it must. */
export interface Tried {
  readonly what: string;
  readonly expected: string;
  readonly got: string;
}

/** What the CA must refuse; and renewal by certificate, which it must not. */
export async function tryTheCa(processes: DemoProcesses, clock: Pick<Clock, 'now'>): Promise<readonly Tried[]> {
  const channel = await openCaChannel(processes, clock);
  const tried: Tried[] = [];
  const attempt = async (what: string, expected: string, call: Promise<unknown>): Promise<void> => {
    tried.push({ what, expected, got: await refusalOf(call) });
  };
  const keyPair = await createKeyPair();
  const csr = createCsr({ keyPair });
  await attempt('no token at all', 'credentials_missing', issueCertificate(channel, { csr }));
  const elsewhere = await processes.mint('shop/catalog', ['vault']);
  await attempt(
    'a token meant for another audience',
    'token_audience',
    issueCertificate(channel, { csr, token: elsewhere }),
  );
  const token = await processes.mint('shop/catalog');
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${token.split('.')[1] ?? ''}.AA`;
  await attempt('a token with "alg: none"', 'token_algorithm', issueCertificate(channel, { csr, token: unsigned }));
  const weak = generateKeyPairSync('ec', { namedCurve: 'P-224' });
  const garbage = encodePem('CERTIFICATE REQUEST', weak.publicKey.export({ type: 'spki', format: 'der' }));
  await attempt('a CSR that is none', 'csr_invalid', issueCertificate(channel, { csr: garbage, token }));
  const [leaf = ''] = await issueCertificate(channel, { csr, token });
  channel.close();
  const certificate = { cert: leaf, key: encodePrivateKey(keyPair.privateKey) };
  const own = await openCaChannel(processes, clock, certificate);
  await attempt('renewal by its own certificate', 'issued', issueCertificate(own, { csr }));
  const other = await processes.mint('shop/orders');
  await attempt(
    "somebody else's token beside it",
    'credentials_disagree',
    issueCertificate(own, { csr, token: other }),
  );
  own.close();
  return tried;
}

/** How a call that must be refused was. */
async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof SealwrightError) return String(error.fields['reason'] ?? error.code);
    throw error;
  }
  return 'issued';
}

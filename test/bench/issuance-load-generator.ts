import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { createTokenIssuer } from '../../src/token/issuer.ts';
import { openChannel, type Channel } from '../../src/wire/grpc-client.ts';
import { extension } from '../fakes/certificate-maker.ts';
import { makeCsrPem } from '../fakes/csr-maker.ts';
import { createCertificate } from '../fakes/running-ca.ts';
import { realClock } from '../fakes/real-clock.ts';

// A process of its own, so that the CPU of asking is not counted as the CPU of answering. Started by issuance-load.ts.

export type ToGenerator =
  | { type: 'prepare'; port: number; roots: string; tokenKey: string; count: number }
  | { type: 'issue'; count: number; inFlight: number };

export interface FromGenerator {
  /** Wall seconds, from the first call to the last answer. */
  readonly seconds?: number;
  readonly error?: string;
}

interface Ask {
  readonly csr: string;
  readonly token: string;
}

/** As many accounts as a mid-sized mesh has. */
const ACCOUNTS = 500;

let channel: Channel | undefined;
const asks: Ask[] = [];

process.on('message', (message: ToGenerator) => {
  handle(message).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ error: String(error) } satisfies FromGenerator),
  );
});

async function handle(message: ToGenerator): Promise<FromGenerator> {
  if (message.type === 'issue') return issue(message.count, message.inFlight);
  const { port, roots, tokenKey, count } = message;
  const tls = { roots, serverName: 'localhost' };
  channel = openChannel({ address: `127.0.0.1:${port}`, clock: realClock, tls });
  // The tokens are by the CA's own key, as if its operator had minted them: what is measured begins with the call.
  const privateKey = createPrivateKey(tokenKey);
  const issuer = await createTokenIssuer({
    privateKey,
    url: 'https://localhost:15012',
    clock: realClock,
    randomBytes,
  });
  for (let index = 0; index < count; index += 1) {
    const account = { namespace: `shop-${index % 20}`, serviceAccount: `service-${index % ACCOUNTS}` };
    const pod = { name: `${account.serviceAccount}-7d9f8-${index}`, uid: `5b0e0b8e-6d5e-4d5c-9a3b-${index}` };
    const identity = SpiffeId.parse(`spiffe://cluster.local/ns/${account.namespace}/sa/${account.serviceAccount}`);
    const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const csr = makeCsrPem({ keys, extensions: [extension.uris(identity.toString())] });
    asks.push({ csr, token: issuer.mint({ ...account, pod }).token });
  }
  return {};
}

async function issue(count: number, inFlight: number): Promise<FromGenerator> {
  const mine = asks.splice(0, count);
  if (channel === undefined || mine.length < count) throw new Error('asked for more than was prepared');
  const open = channel;
  const queue = mine.values();
  const askAll = async (): Promise<void> => {
    for (const ask of queue) {
      const { certChain } = await createCertificate(open, ask);
      if (certChain.length < 2) throw new Error('an answer without its chain');
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: inFlight }, askAll));
  return { seconds: (performance.now() - begun) / 1_000 };
}

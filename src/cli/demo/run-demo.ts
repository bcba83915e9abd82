import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { styleText } from 'node:util';
import { encodePem } from '../../pki/pem.ts';
import { createCsr } from '../../pki/csr-writer.ts';
import { createKeyPair, encodePrivateKey } from '../../pki/keys.ts';
import { describeCertificate } from '../../pki/inspect.ts';
import { openChannel, type Channel } from '../../wire/grpc-client.ts';
import { IstioCertificateService } from '../../wire/services.ts';
import { readAnswer } from '../answer.ts';
import type { CommandContext } from '../command.ts';
import { OperatorClient } from '../operator-client.ts';
import { renderTable } from '../render/table.ts';
import { renderDistance } from '../render/time.ts';
import { CaProcess } from './ca-process.ts';
import { isGood, refusalOf, type Outcome } from './demo-checks.ts';

/** The service accounts of a small shop. */
const WORKLOADS = ['shop/frontend', 'shop/catalog', 'shop/orders', 'data/stock'] as const;

export interface RunningDemo {
  /** Whether everything came out as it must. */
  readonly good: boolean;
  stop(): Promise<void>;
}

export interface DemoOptions {
  /** A folder that `init` wrote. */
  readonly folder: string;
  /** Any free port instead of the usual ones, so that the demo runs beside whatever else does. */
  readonly freePorts: boolean;
  readonly context: CommandContext;
}

/** Starts a CA, has identities issued over its real API, tries what must be refused, and verifies the ledger. */
export async function runDemo({ folder, freePorts, context }: DemoOptions): Promise<RunningDemo> {
  const heading = (text: string): void => context.stdout(`\n${context.terminal ? styleText('bold', text) : text}\n`);
  const free = freePorts ? ['--ca-listen', '127.0.0.1:0', '--ca-metrics-listen', '127.0.0.1:0'] : [];
  const ca = await CaProcess.start(folder, free);
  try {
    const operator = new OperatorClient(join(folder, 'ca/operator.sock'));
    const roots = await readFile(join(folder, 'ca/root-cert.pem'), 'utf8');
    const openAs = (identity?: { certificateChain: string; privateKey: string }): Channel =>
      openChannel({
        address: `localhost:${ca.port}`,
        clock: context,
        tls: { roots, ...(identity === undefined ? {} : { identity }) },
      });
    const channel = openAs();
    heading(`A certificate authority of its own, on localhost:${ca.port}, trust domain cluster.local`);

    heading('Identities issued for service account tokens');
    const rows: string[][] = [];
    const outcomes: Outcome[] = [];
    let catalog: { certificateChain: string; privateKey: string } | undefined;
    for (const workload of WORKLOADS) {
      const keyPair = await createKeyPair();
      const [leaf = ''] = await issue(channel, {
        csr: createCsr({ keyPair }),
        token: await mint(operator, workload),
      });
      const described = describeCertificate(leaf, context.now());
      rows.push([
        workload,
        described.spiffeId ?? '',
        renderDistance(described.notAfter, context.now()),
        described.serial,
      ]);
      const [namespace, account] = workload.split('/');
      const expected = `spiffe://cluster.local/ns/${namespace}/sa/${account}`;
      outcomes.push({ what: `a token of ${workload}`, expected, got: described.spiffeId ?? 'no identity' });
      if (workload === 'shop/catalog') {
        catalog = { certificateChain: leaf, privateKey: encodePrivateKey(keyPair.privateKey) };
      }
    }
    context.stdout(renderTable(['SERVICE ACCOUNT', 'IDENTITY', 'EXPIRES', 'SERIAL'], rows));

    outcomes.push(...(await tryTheRest({ operator, channel, openAs, catalog })));
    channel.close();
    heading('What else was tried, and what the CA answered');
    context.stdout(
      renderTable(
        ['TRIED', 'ANSWER', 'VERDICT'],
        outcomes
          .slice(WORKLOADS.length)
          .map((outcome) => [
            outcome.what,
            outcome.got,
            isGood(outcome) ? 'as it must' : `EXPECTED ${outcome.expected}`,
          ]),
      ),
    );

    heading('The ledger of all of it, recomputed from its first entry');
    const { verifyExport } = await import('../../../ca/ledger/verify-ledger.ts');
    const report = await verifyExport(operator.lines('/v1/ledger/export'));
    const problems = String(report.problems);
    outcomes.push({ what: 'the ledger', expected: '0', got: problems });
    context.stdout(
      `${report.entries} entries, ${report.kinds.issuance} certificates, ${report.heads} signed tree heads, ${problems} problems\n`,
    );

    if (freePorts) return { good: outcomes.every(isGood), stop: () => ca.stop() };
    heading('Look around');
    const settings = `--config ${join(relative(context.folder, folder), 'sealwright.yaml')}`;
    for (const line of ['identity list', 'identity show shop/catalog', 'audit verify']) {
      context.stdout(`npm run -s sealwright -- ${line} ${settings}\n`);
    }
    context.stdout(`curl http://localhost:${ca.metricsPort}/metrics\n`);
    return { good: outcomes.every(isGood), stop: () => ca.stop() };
  } catch (error) {
    await ca.stop();
    throw error;
  }
}

/** What must be refused, and renewal by certificate, which must not. */
async function tryTheRest(parts: {
  readonly operator: OperatorClient;
  readonly channel: Channel;
  readonly openAs: (identity: { certificateChain: string; privateKey: string }) => Channel;
  readonly catalog: { certificateChain: string; privateKey: string } | undefined;
}): Promise<Outcome[]> {
  const { operator, channel, openAs, catalog } = parts;
  const csr = createCsr({ keyPair: await createKeyPair() });
  const outcomes: Outcome[] = [];
  const attempt = async (what: string, expected: string, call: Promise<unknown>): Promise<void> => {
    outcomes.push({ what, expected, got: await refusalOf(call) });
  };
  await attempt('no token at all', 'credentials_missing', issue(channel, { csr }));
  const elsewhere = await mint(operator, 'shop/catalog', ['vault']);
  await attempt('a token meant for another audience', 'token_audience', issue(channel, { csr, token: elsewhere }));
  const token = await mint(operator, 'shop/catalog');
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${token.split('.')[1] ?? ''}.AA`;
  await attempt('the same token with "alg: none"', 'token_algorithm', issue(channel, { csr, token: unsigned }));
  const weak = generateKeyPairSync('ec', { namedCurve: 'P-224' });
  const garbage = encodePem('CERTIFICATE REQUEST', weak.publicKey.export({ type: 'spki', format: 'der' }));
  await attempt('a CSR that is none', 'csr_invalid', issue(channel, { csr: garbage, token }));
  if (catalog !== undefined) {
    const own = openAs(catalog);
    await attempt('renewal by its own certificate', 'issued', issue(own, { csr }));
    const other = await mint(operator, 'shop/orders');
    await attempt("somebody else's token beside it", 'credentials_disagree', issue(own, { csr, token: other }));
    own.close();
  }
  return outcomes;
}

async function issue(channel: Channel, call: { csr: string; token?: string }): Promise<readonly string[]> {
  const headers: Record<string, string> = call.token === undefined ? {} : { authorization: `Bearer ${call.token}` };
  const request = { csr: call.csr };
  const settings = { timeout: 10_000, headers };
  return (await channel.unary(IstioCertificateService.method.createCertificate, request, settings)).certChain;
}

async function mint(operator: OperatorClient, workload: string, audiences?: readonly string[]): Promise<string> {
  const [namespace, serviceAccount] = workload.split('/');
  const body = { namespace, serviceAccount, ...(audiences === undefined ? {} : { audiences }) };
  return readAnswer(await operator.post('/v1/tokens', body)).text('token');
}

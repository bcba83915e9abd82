import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OperatorClient } from '../../../src/cli/operator-client.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { ecKeys } from '../../fakes/certificate-maker.ts';
import { makeCsrPem } from '../../fakes/csr-maker.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { createCertificate, RunningCa, sealwright } from '../../fakes/running-ca.ts';

const ALICE = 'spiffe://cluster.local/ns/ops/sa/alice';

describe('operators elsewhere, by the certificate of a listed identity', () => {
  let ca: RunningCa;
  let folder: string;

  before(async function () {
    folder = temporaryFolder(this);
    const operator = { identities: [ALICE], viewers: ['spiffe://cluster.local/ns/ops/sa/dashboard'] };
    // JSON is YAML.
    writeFileSync(
      join(folder, 'sealwright.yaml'),
      JSON.stringify({ ca: { tokenIssuer: { enabled: true }, operator } }),
    );
    ca = await RunningCa.start(folder);
  });
  after(async () => assert.equal(await ca.stop(), 0));

  const certified = async (account: string): Promise<{ certificateChain: string; privateKey: string }> => {
    const keys = ecKeys();
    const channel = ca.channel();
    const token = await ca.token('ops', account);
    const { certChain } = await createCertificate(channel, { csr: makeCsrPem({ keys }), token });
    channel.close();
    const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    return { certificateChain: certChain[0] ?? '', privateKey };
  };
  const clientOf = async (account: string): Promise<OperatorClient> =>
    new OperatorClient({
      host: '127.0.0.1',
      port: ca.operatorPort,
      roots: ca.rootPem,
      identity: await certified(account),
    });
  const issued = async (client: OperatorClient): Promise<string> =>
    JSON.stringify(
      await client.post('/v1/identities/issue', {
        identity: 'spiffe://cluster.local/ns/shop/sa/machine',
        csr: makeCsrPem(),
      }),
    );
  const refused = (text: RegExp) => (error: unknown) =>
    error instanceof SealwrightError && error.code === 'operator_refused' && text.test(error.message);

  it('act by their role, and their name is in the ledger', async () => {
    assert.match(await issued(await clientOf('alice')), /serial/);
    const shown = (await ca.operator.get('/v1/identities/show', {
      identity: 'spiffe://cluster.local/ns/shop/sa/machine',
    })) as Record<string, unknown>;
    assert.equal(shown['credential'], `svid:${ALICE}`);
    const viewer = await clientOf('dashboard');
    assert.ok(await viewer.get('/v1/status'));
    await assert.rejects(issued(viewer), refused(/for operators/));
    await assert.rejects((await clientOf('mallory')).get('/v1/status'), refused(/who is asking/));
  });

  it('are not those who show nothing, or a token where no Kubernetes gives roles', async () => {
    const client = new OperatorClient({ host: '127.0.0.1', port: ca.operatorPort, roots: ca.rootPem });
    await assert.rejects(client.get('/v1/status'), refused(/who is asking/));
    const withToken = new OperatorClient({
      host: '127.0.0.1',
      port: ca.operatorPort,
      roots: ca.rootPem,
      token: await ca.token('ops', 'alice', { audiences: ['sealwright-operator'] }),
    });
    await assert.rejects(withToken.get('/v1/status'), refused(/who is asking/));
  });

  it('use the command line with files of their own', async function () {
    const here = temporaryFolder(this);
    const { certificateChain, privateKey } = await certified('alice');
    for (const [name, text] of Object.entries({
      'c.pem': certificateChain,
      'k.pem': privateKey,
      'r.pem': ca.rootPem,
    })) {
      writeFileSync(join(here, name), text, { mode: 0o600 });
    }
    const at = ['--operator-address', `localhost:${ca.operatorPort}`, '--ca-root', 'r.pem'];
    const run = await sealwright(here, ['identity', 'list', ...at, '--certificate', 'c.pem', '--key', 'k.pem']);
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /ops\/sa\/alice/);
    const minted = await sealwright(here, [
      'token',
      'create',
      'shop/web',
      ...at,
      '--certificate',
      'c.pem',
      '--key',
      'k.pem',
    ]);
    assert.match(minted.stdout, /^eyJ/, minted.stderr);
    assert.ok(!JSON.stringify(ca.log).includes(minted.stdout.trim()));
  });

  it('are served nowhere where nobody is listed and no Kubernetes is asked', async function () {
    const other = await RunningCa.start(temporaryFolder(this));
    assert.ok(Number.isNaN(other.operatorPort));
    assert.equal(await other.stop(), 0);
  });
});

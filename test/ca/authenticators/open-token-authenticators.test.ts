import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { authenticateInOrder } from '../../../ca/authenticators/authenticate-in-order.ts';
import { Credentials } from '../../../ca/authenticators/credentials.ts';
import { openTokenAuthenticators } from '../../../ca/authenticators/open-token-authenticators.ts';
import { resolveSettings } from '../../../src/config/resolve-settings.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { FakeKubernetesApi } from '../../fakes/kubernetes-api.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { serviceAccountClaims, signToken } from '../../fakes/tokens.ts';
import { clusterKey, ISSUER, NOW, TRUST_DOMAIN } from './fixture.ts';

describe('the authenticators of tokens that settings ask for', () => {
  let api: FakeKubernetesApi;
  let closes: (() => void)[];
  beforeEach(async () => {
    api = await FakeKubernetesApi.start();
    closes = [];
  });
  afterEach(async () => {
    for (const close of closes) close();
    await api.close();
  });

  async function wired(auth: (folder: string) => Record<string, unknown>, folder: string) {
    const text = JSON.stringify({ ca: { auth: auth(folder) } });
    const { settings, issues } = resolveSettings({ flags: {}, env: {}, file: { name: 'sealwright.yaml', text } });
    assert.ok(settings !== undefined, JSON.stringify(issues));
    const logger = new RecordingLogger();
    const tokens = await openTokenAuthenticators(settings, {
      trustDomain: TRUST_DOMAIN,
      tokenIssuer: undefined,
      env: {},
      clock: new FakeClock(NOW),
      logger,
      started: (part, stop) => {
        closes.push(() => stop(part));
        return part;
      },
    });
    const authenticate = authenticateInOrder({ tokens, logger });
    const ask = async (bearer: string): Promise<string> => {
      const outcome = await authenticate(new Credentials({ bearer, peerChain: undefined, remoteAddress: '' }));
      return outcome.kind === 'granted' ? `granted ${outcome.caller.method}` : `${outcome.kind} ${outcome.code}`;
    };
    return { ask, logger };
  }

  const both = (folder: string): Record<string, unknown> => {
    writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [clusterKey.jwk] }));
    return {
      issuer: ISSUER,
      jwksFile: join(folder, 'jwks.json'),
      tokenReview: { enabled: true, kubeconfig: api.writeKubeconfig(folder) },
    };
  };
  const token = signToken(clusterKey, serviceAccountClaims(NOW));

  it('let no key set overrule a TokenReview, which alone knows what was deleted', async function () {
    const { ask } = await wired(both, temporaryFolder(this));
    assert.equal(await ask(token), 'refused token_refused');
    api.tokens.set(token, {
      username: 'system:serviceaccount:shop:catalog',
      groups: ['system:serviceaccounts'],
      audiences: ['istio-ca'],
    });
    assert.equal(await ask(token), 'granted token-review');
    api.tokens.delete(token);
    assert.equal(await ask(token), 'refused token_refused');
  });

  it('let the key set stand in while the API server is down', async function () {
    const { ask, logger } = await wired(both, temporaryFolder(this));
    api.behaviour = { kind: 'close' };
    assert.equal(await ask(token), 'granted jwks');
    assert.match(logger.text, /tokens are judged by a stand-in/);
  });

  it('send tokens of another issuer to nobody where the issuer of the API server is known', async function () {
    const { ask } = await wired(both, temporaryFolder(this));
    const other = signToken(clusterKey, serviceAccountClaims(NOW, { iss: 'https://elsewhere' }));
    assert.equal(await ask(other), 'refused token_issuer');
    assert.deepEqual(api.requests, []);
  });

  it('say so where no token is accepted', async function () {
    const { logger } = await wired(() => ({}), temporaryFolder(this));
    assert.match(logger.text, /no token is accepted/);
  });
});

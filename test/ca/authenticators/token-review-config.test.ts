import { strict as assert } from 'node:assert';
import { tokenReviewConfig } from '../../../ca/authenticators/token-review-config.ts';
import { resolveSettings } from '../../../src/config/resolve-settings.ts';

describe('the API server that judges tokens', () => {
  const judge = (flags: Readonly<Record<string, string>>): unknown => {
    const { settings, issues } = resolveSettings({ flags, env: {} });
    assert.ok(settings !== undefined, JSON.stringify(issues));
    return tokenReviewConfig(settings, {});
  };
  const cluster = { 'kubernetes-enabled': 'true', 'kubernetes-kubeconfig': '/k' };

  it('is that of the resources, where nobody said otherwise', () => {
    assert.deepEqual(judge(cluster), { kubeconfig: '/k' });
    assert.deepEqual(judge({ ...cluster, 'kubernetes-context': 'x' }), { kubeconfig: '/k', context: 'x' });
    assert.deepEqual(judge({ ...cluster, 'ca-auth-token-review-kubeconfig': '/other' }), { kubeconfig: '/other' });
  });

  it('is none where there is no cluster, or where it was switched off', () => {
    assert.equal(judge({}), undefined);
    assert.equal(judge({ ...cluster, 'ca-auth-token-review-enabled': 'false' }), undefined);
  });

  it('is none where the embedded issuer was chosen instead of it, and one beside it where both may be', () => {
    const embedded = { ...cluster, 'ca-token-issuer-enabled': 'true' };
    assert.equal(judge(embedded), undefined);
    const beside = { ...embedded, 'ca-token-issuer-beside-kubernetes': 'true' };
    assert.deepEqual(judge(beside), { kubeconfig: '/k' });
  });
});

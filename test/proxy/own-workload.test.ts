import { strict as assert } from 'node:assert';
import { ownWorkload } from '../../proxy/own-workload.ts';
import { resolveSettings } from '../../src/config/resolve-settings.ts';

describe('the workload that a sidecar is for', () => {
  const of = (flags: Record<string, string>, env: Record<string, string> = {}) => {
    const { settings } = resolveSettings({ flags, env });
    return ownWorkload((settings ?? assert.fail()).proxy);
  };
  const inPod = { POD_NAME: 'catalog-0', POD_NAMESPACE: 'shop' };

  it('is the WorkloadEntry that is named, else the pod that the downward API names', () => {
    const pod = { kind: 'Pod', namespace: 'shop', name: 'catalog-0' };
    assert.deepEqual(of({}, inPod), pod);
    assert.deepEqual(of({ 'pod-name': 'catalog-0', 'pod-namespace': 'shop' }), pod);
    assert.deepEqual(of({ workload: 'shop/vm' }, inPod), { kind: 'WorkloadEntry', namespace: 'shop', name: 'vm' });
  });

  it('has to be named', () => {
    assert.throws(() => of({}), { code: 'workload_unset' });
    assert.throws(() => of({}, { POD_NAME: 'catalog-0' }), { code: 'workload_unset' });
  });
});

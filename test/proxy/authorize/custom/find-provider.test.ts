import { strict as assert } from 'node:assert';
import { targetOf } from '../../../../proxy/authorize/custom/find-provider.ts';

describe('the place of an authorization provider', () => {
  const ownerOf = (service: string): string | undefined => targetOf({ service, port: 80 }).name.owner;

  it('is of the namespace that is written, or that its name says, and else of only one (invariant 5)', () => {
    assert.equal(ownerOf('auth/ext.example.org'), 'auth');
    assert.equal(ownerOf('auth/ext.other.svc.cluster.local'), 'auth');
    assert.equal(ownerOf('ext.auth.svc.cluster.local'), 'auth');
    assert.equal(ownerOf('Ext.Auth.SVC'), 'auth');
    assert.equal(ownerOf('ext.auth.svcs.example.org'), '*');
    assert.equal(ownerOf('ext.example.org'), '*');
  });
});

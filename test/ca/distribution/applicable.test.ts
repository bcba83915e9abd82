import { strict as assert } from 'node:assert';
import {
  authorizationPolicyApplies,
  peerAuthenticationApplies,
  requestAuthenticationApplies,
  type Applies,
} from '../../../ca/distribution/applicable.ts';
import { readOne } from '../../resources/yaml-resource.ts';

const AUDIENCE = { namespace: 'shop', labels: { app: 'a' }, rootNamespace: 'root' };

const KINDS: readonly (readonly [kind: string, applies: Applies, rootSelectorCounts: boolean])[] = [
  ['AuthorizationPolicy', authorizationPolicyApplies, true],
  ['RequestAuthentication', requestAuthenticationApplies, true],
  // Istio ignores it (ComposePeerAuthentication), so that no sidecar has to hear of it.
  ['PeerAuthentication', peerAuthenticationApplies, false],
];

describe('what a workload is told of', () => {
  for (const [kind, applies, rootSelectorCounts] of KINDS) {
    const told = (namespace: string, spec: string): boolean =>
      applies(
        readOne(
          `{apiVersion: security.istio.io/v1, kind: ${kind}, metadata: {name: p, namespace: ${namespace}}, spec: ${spec}}`,
        ),
        AUDIENCE,
      );

    it(`is each ${kind} that is for it, and no other's`, () => {
      assert.equal(told('shop', '{}'), true);
      assert.equal(told('root', '{}'), true);
      assert.equal(told('shop', '{selector: {matchLabels: {app: a}}}'), true);
      assert.equal(told('shop', '{selector: {matchLabels: {app: b}}}'), false);
      assert.equal(told('root', '{selector: {matchLabels: {app: a}}}'), rootSelectorCounts);
      assert.equal(told('root', '{selector: {matchLabels: {app: b}}}'), false);
    });
  }
});

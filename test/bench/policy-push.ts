import { HeldAddresses } from '../../proxy/agent/held-addresses.ts';
import { PushedState } from '../../proxy/agent/pushed-state.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { encodePem } from '../../src/pki/pem.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import { makeCertificate } from '../fakes/certificates.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { pushedDocument, pushedRoots, pushedWorkload, uidOf } from '../fakes/pushed-resources.ts';
import type { Figure } from './figure.ts';

const POLICIES = 10_000;
const CHANGES = 41;

/**
 * One changed policy of 10,000, from the resource that was pushed to the configuration in force: read, found to be the
 * difference, compiled for HTTP and TCP. Milliseconds of this thread's CPU, the median.
 */
export async function policyPush(): Promise<Figure> {
  const state = new PushedState({
    uid: uidOf('catalog'),
    names: { trustDomain: parseTrustDomain('cluster.local'), rootNamespace: 'sealwright-system' },
    held: new HeldAddresses(),
    onAddresses: () => undefined,
    onRoots: () => undefined,
    onTaken: () => undefined,
    logger: new RecordingLogger(),
  });
  const push = (type: string, ...changed: XdsResource[]): void => {
    const refusal = state.apply(type, { changed, removed: [], systemVersion: '1' });
    if (refusal !== undefined) throw new Error(refusal);
  };
  const { certificate } = await makeCertificate({ subject: 'O=one' });
  push(CONTROL_TYPES.address, pushedWorkload({ name: 'catalog', addresses: ['127.0.1.2'] }));
  push(CONTROL_TYPES.secret, pushedRoots(encodePem('CERTIFICATE', certificate)));
  const {
    peerAuthentication,
    requestAuthentication,
    keySet,
    sidecar,
    destinationRule,
    configMap,
    authorizationPolicy,
  } = CONTROL_TYPES;
  for (const type of [
    peerAuthentication,
    requestAuthentication,
    keySet,
    sidecar,
    destinationRule,
    configMap,
    authorizationPolicy,
  ]) {
    push(type);
  }
  const all = Array.from({ length: POLICIES }, (_, index) => onePath(index, 'a'));
  const whole = cpuOf(() => push(authorizationPolicy, ...all));
  while (state.current()?.policies.http.applied.length !== POLICIES) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const changes = Array.from({ length: CHANGES }, (_, turn) => onePath(5_000 + (turn % 7), `b${turn}`));
  const taken = changes.map((change) => cpuOf(() => push(authorizationPolicy, change))).sort((a, b) => a - b);
  const ours = taken[CHANGES >> 1] ?? Number.NaN;
  const notes = [
    `worst of ${CHANGES} changes ${taken.at(-1)?.toFixed(2)} ms; ` +
      `the whole push of ${POLICIES} read in one turn of the event loop: ${whole.toFixed(0)} ms`,
  ];
  return { ours, unit: 'ms CPU/change', peer: null, peerName: null, peerAbsent: 'nothing else does this', notes };
}

function onePath(index: number, part: string): XdsResource {
  const rules = [{ to: [{ operation: { paths: [`/things/${index}/${part}`] } }] }];
  return pushedDocument({ kind: 'AuthorizationPolicy', name: `p${index}`, spec: { rules } });
}

function cpuOf(act: () => void): number {
  const before = process.threadCpuUsage();
  act();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

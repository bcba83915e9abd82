import { HeldAddresses } from '../../proxy/agent/held-addresses.ts';
import { PushedState } from '../../proxy/agent/pushed-state.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { encodePem } from '../../src/pki/pem.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import { makeCertificate } from '../fakes/certificates.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { pushedDocument, pushedRoots, pushedWorkload, uidOf } from '../fakes/pushed-resources.ts';
import { connection, request } from '../policy/facts.ts';
import type { Figure } from './figure.ts';
import { loopTurns, type LoopTurns } from './loop-turns.ts';
import { messagesOf, WiredState } from './wired-state.ts';

const POLICIES = 10_000;
const CHANGES = 101;
const { address, secret, authorizationPolicy } = CONTROL_TYPES;

/**
 * One changed policy of 10,000, from the bytes of the message that brought it to the verdict that it makes: decoded, read,
 * found to be the difference, compiled for HTTP and TCP, in force. Milliseconds of CPU of all threads, the median.
 */
export async function policyPush(progress: (line: string) => void): Promise<Figure> {
  const notes: string[] = [];
  let ours = Number.NaN;
  for (const rules of [10, 1]) {
    progress(`${POLICIES} policies of ${rules === 1 ? 'one rule' : `${rules} rules`}`);
    const { wired, state } = await completeState();
    const policies = Array.from({ length: POLICIES }, (_, index) => policyOf(index, 'a', rules));
    const whole = messagesOf(authorizationPolicy, policies);
    const first = await loopTurns(() => wired.take(whole));
    if (state.current()?.policies.http.applied.length !== POLICIES) throw new Error('not all of it is in force');
    const taken: number[] = [];
    for (let turn = 0; turn < CHANGES; turn += 1) {
      const index = 5_000 + (turn % 7);
      const change = messagesOf(authorizationPolicy, [policyOf(index, `b${turn}`, rules)]);
      taken.push(await cpuOf(() => wired.take(change)));
      const bound = state.current()?.policies.http.forConnection(connection());
      if (bound?.decide(request({ path: `/things/${index}/b${turn}/0` })).allow !== false) {
        throw new Error('the change is not in force');
      }
    }
    taken.sort((a, b) => a - b);
    ours = taken[CHANGES >> 1] ?? Number.NaN;
    notes.push(
      `${rules} rules each: one changed p50 ${ours.toFixed(2)} ms, p90 ${taken[Math.floor(CHANGES * 0.9)]?.toFixed(2)}, ` +
        `worst of ${CHANGES} ${taken.at(-1)?.toFixed(2)}; ${firstPush(first)}`,
    );
    state.stop();
  }
  return { ours, unit: 'ms CPU/change', peer: null, peerName: null, peerAbsent: 'nothing else does this', notes };
}

function firstPush({ longest, longestOfOurs, longestPause, turns }: LoopTurns): string {
  return (
    `the first push of ${POLICIES} in ${turns} turns of the event loop, the longest ${longest.toFixed(1)} ms of CPU, ` +
    `${longestOfOurs.toFixed(1)} without garbage collection, whose longest pause was ${longestPause.toFixed(1)}`
  );
}

async function completeState(): Promise<{ wired: WiredState; state: PushedState }> {
  const state = new PushedState({
    uid: uidOf('catalog'),
    names: { trustDomain: parseTrustDomain('cluster.local'), rootNamespace: 'sealwright-system' },
    held: new HeldAddresses(),
    onAddresses: () => undefined,
    onRoots: () => undefined,
    onTaken: () => undefined,
    logger: new RecordingLogger(),
  });
  const wired = new WiredState(state);
  const { certificate } = await makeCertificate({ subject: 'O=one' });
  const push = (type: string, ...resources: XdsResource[]) => wired.take(messagesOf(type, resources));
  await push(address, pushedWorkload({ name: 'catalog', addresses: ['127.0.1.2'] }));
  await push(secret, pushedRoots(encodePem('CERTIFICATE', certificate)));
  const { peerAuthentication, requestAuthentication, keySet, sidecar, destinationRule, configMap } = CONTROL_TYPES;
  const authentications = [peerAuthentication, requestAuthentication, keySet];
  for (const type of [...authentications, sidecar, destinationRule, configMap, authorizationPolicy]) {
    await push(type);
  }
  return { wired, state };
}

function policyOf(index: number, part: string, rules: number): XdsResource {
  const made = Array.from({ length: rules }, (_, rule) => {
    return { to: [{ operation: { paths: [`/things/${index}/${part}/${rule}`] } }] };
  });
  return pushedDocument({ kind: 'AuthorizationPolicy', name: `p${index}`, spec: { action: 'DENY', rules: made } });
}

async function cpuOf(act: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

import type { Figure } from './figure.ts';
import { compile, nanosecondsOf, POLICY_SHAPES, policyCase } from './policy-shapes.ts';

const CALLS = 1_000_000;
const TURNS = 5;
const NO_PEER = { peer: null, peerName: null, peerAbsent: 'no other engine of these policies runs in a process' };

/** One allowed request, judged on an open connection by 100 policies: the dearest of the shapes. */
export async function policyDecision(): Promise<Figure> {
  const taken = Object.keys(POLICY_SHAPES).map((shape) => {
    const { allow, refuse, bind } = policyCase(shape, 100);
    const [allowed, refused] = [nanosecondsOf(CALLS, allow), nanosecondsOf(CALLS, refuse)];
    return { shape, allowed, refused, bound: nanosecondsOf(20_000, bind) };
  });
  const notes = taken.map(
    ({ shape, allowed, refused, bound }) =>
      `${shape}: allowed ${allowed.toFixed(0)} ns, refused ${refused.toFixed(0)} ns, ` +
      `once for each connection ${(bound / 1_000).toFixed(1)} us`,
  );
  return { ours: Math.max(...taken.map(({ allowed }) => allowed)), unit: 'ns/decision', ...NO_PEER, notes };
}

/** How a decision grows with the number of policies: the worst ratio of the shapes. 1.00: not at all; 100: linearly. */
export async function policyScale(): Promise<Figure> {
  const taken = Object.keys(POLICY_SHAPES).map((shape) => {
    const [few, many] = [policyCase(shape, 10), policyCase(shape, 1000)];
    let [ours, peer] = [Infinity, Infinity];
    // In turns, and the least disturbed of each: what the engine has optimized for one serves the other too.
    for (let turn = 0; turn < TURNS; turn += 1) {
      peer = Math.min(peer, nanosecondsOf(CALLS / TURNS, few.allow));
      ours = Math.min(ours, nanosecondsOf(CALLS / TURNS, many.allow));
    }
    return { shape, ours, peer };
  });
  const worst = taken.reduce((a, b) => (b.ours / b.peer > a.ours / a.peer ? b : a));
  const { ours, peer } = worst;
  return {
    ours,
    peer,
    unit: 'ns/decision',
    peerName: '10 policies',
    notes: taken.map((each) => `${each.shape}: ${(each.ours / each.peer).toFixed(2)}`),
  };
}

/** 1000 policies compiled, as each push that changes one of them does: the dearest of the shapes, warm. */
export async function policyCompile(): Promise<Figure> {
  const taken = Object.keys(POLICY_SHAPES).map((shape) => {
    const { policies } = policyCase(shape, 1000);
    return nanosecondsOf(10, () => compile(policies)) / 1e6;
  });
  return { ours: Math.max(...taken), unit: 'ms/1000 policies', ...NO_PEER };
}

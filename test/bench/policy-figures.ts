import { atOnce, compileInSlices, recompileInSlices } from '../../src/policy/compile-policies.ts';
import type { Figure } from './figure.ts';
import {
  bytesOf,
  compile,
  onePolicy,
  policiesOf,
  POLICY_SHAPES,
  policyCase,
  SCOPE,
  spreadOf,
} from './policy-shapes.ts';

const CALLS = 200_000;
const NO_PEER = { peer: null, peerName: null, peerAbsent: 'no other engine of these policies runs in a process' };
const shown = (ns: number): string => (ns < 10_000 ? `${ns.toFixed(0)} ns` : `${(ns / 1000).toFixed(0)} us`);

/** One allowed request, judged on an open connection by 1000 policies of 10 rules: the dearest of the shapes. */
export async function policyDecision(progress: (line: string) => void): Promise<Figure> {
  const taken = Object.keys(POLICY_SHAPES).map((shape) => {
    progress(shape);
    const { allow, refuse, bind } = policyCase(shape, 1000);
    return {
      shape,
      bytes: bytesOf(CALLS, allow),
      allowed: spreadOf(CALLS, allow),
      refused: spreadOf(CALLS, refuse),
      bound: spreadOf(20_000, bind),
    };
  });
  const notes = taken.map(
    ({ shape, allowed, refused, bound, bytes }) =>
      `${shape}: allowed p50 ${shown(allowed.p50)}, p99 ${shown(allowed.p99)}, ${bytes.toFixed(1)} bytes; ` +
      `refused p50 ${shown(refused.p50)}, p99 ${shown(refused.p99)}; ` +
      `once for each connection p50 ${shown(bound.p50)}, p99 ${shown(bound.p99)}`,
  );
  return { ours: Math.max(...taken.map(({ allowed }) => allowed.p50)), unit: 'ns/decision', ...NO_PEER, notes };
}

const COUNTS = [10, 100, 1000, 10_000] as const;

/** How a decision grows from 10 to 10,000 policies of 10 rules: the worst ratio of the shapes. 1000 would be linear. */
export async function policyScale(progress: (line: string) => void): Promise<Figure> {
  const taken = Object.keys(POLICY_SHAPES).map((shape) => {
    const spreads = COUNTS.map((count) => {
      progress(`${shape}, ${count} policies`);
      const { allow, bind } = policyCase(shape, count);
      return { count, allowed: spreadOf(CALLS, allow), bound: spreadOf(20_000, bind) };
    });
    return {
      shape,
      spreads,
      peer: spreads[0]?.allowed.p50 ?? Number.NaN,
      ours: spreads.at(-1)?.allowed.p50 ?? Number.NaN,
    };
  });
  const { ours, peer } = taken.reduce((a, b) => (b.ours / b.peer > a.ours / a.peer ? b : a));
  const notes = taken.flatMap(({ shape, spreads }) =>
    spreads.map(
      ({ count, allowed, bound }) =>
        `${shape}, ${count}: allowed p50 ${shown(allowed.p50)}, p99 ${shown(allowed.p99)}; ` +
        `connection p50 ${shown(bound.p50)}, p99 ${shown(bound.p99)}`,
    ),
  );
  return { ours, peer, unit: 'ns/decision', peerName: '10 policies', notes };
}

/** 10,000 policies compiled for the first time: the CPU of both listeners, HTTP and TCP; the dearest of the shapes. */
export async function policyCompile(progress: (line: string) => void): Promise<Figure> {
  const notes: string[] = [];
  let dearest = 0;
  for (const shape of Object.keys(POLICY_SHAPES)) {
    for (const rules of [1, 10]) {
      progress(`${shape}, ${rules} rules each`);
      const policies = policiesOf(shape, 10_000, rules);
      const [before, started] = [process.cpuUsage(), performance.now()];
      let longest = 0;
      for (const protocol of ['http', 'tcp'] as const) longest = Math.max(longest, longestSlice(policies, protocol));
      const [{ user, system }, wall] = [process.cpuUsage(before), performance.now() - started];
      const cpu = (user + system) / 1000;
      if (rules === 1) dearest = Math.max(dearest, cpu);
      notes.push(
        `${shape}, ${rules} rules each: ${cpu.toFixed(0)} ms CPU of all threads, ${wall.toFixed(0)} ms on this one, ` +
          `longest slice ${longest.toFixed(1)} ms; ` +
          `one changed ${changeOf(policies, onePolicy(shape, 5000, rules)).toFixed(2)} ms`,
      );
    }
  }
  return { ours: dearest, unit: 'ms CPU/10000 policies', ...NO_PEER, notes };
}

/** The longest that the loop is held, in milliseconds of this thread's CPU: waiting for a core is not ours. */
function longestSlice(policies: ReturnType<typeof policiesOf>, protocol: 'http' | 'tcp'): number {
  const slices = compileInSlices({ ...SCOPE, protocol, policies });
  let longest = 0;
  for (let done = false; !done;) {
    const before = process.threadCpuUsage();
    done = slices.next().done === true;
    const { user, system } = process.threadCpuUsage(before);
    longest = Math.max(longest, (user + system) / 1000);
  }
  return longest;
}

/** Median of one policy changed to and fro, in milliseconds. */
function changeOf(policies: ReturnType<typeof policiesOf>, other: ReturnType<typeof onePolicy>): number {
  const old = policies[5000];
  if (old === undefined) return Number.NaN;
  let compiled = compile(policies);
  const changed = policies.with(5000, other);
  const taken = Array.from({ length: 21 }, (_, turn) => {
    const back = turn % 2 === 1;
    const change = back ? { removed: [other], added: [old] } : { removed: [old], added: [other] };
    const started = performance.now();
    compiled = atOnce(recompileInSlices(compiled, change, back ? policies : changed));
    return performance.now() - started;
  });
  return taken.sort((a, b) => a - b)[10] ?? Number.NaN;
}

import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { compileInSlices, recompileInSlices } from '../../src/policy/compile-policies.ts';
import { atOnce, oneTurn, TURN } from '../../src/policy/slices.ts';
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

/**
 * 10,000 policies compiled for the first time, with one rule each and with ten: the CPU of both listeners, HTTP and TCP;
 * the dearest of the shapes.
 */
export async function policyCompile(progress: (line: string) => void): Promise<Figure> {
  const notes: string[] = [];
  let dearest = 0;
  for (const shape of Object.keys(POLICY_SHAPES)) {
    for (const rules of [1, 10]) {
      progress(`${shape}, ${rules} rules each`);
      const policies = policiesOf(shape, 10_000, rules);
      const [before, started] = [process.cpuUsage(), performance.now()];
      let [longest, work] = [0, 0];
      for (const protocol of ['http', 'tcp'] as const) {
        const turns = await turnsOf(policies, protocol);
        longest = Math.max(longest, turns.longest);
        work = Math.max(work, turns.longestOfWork);
      }
      const [{ user, system }, wall] = [process.cpuUsage(before), performance.now() - started];
      const cpu = (user + system) / 1000;
      dearest = Math.max(dearest, cpu);
      notes.push(
        `${shape}, ${rules} rules each: ${cpu.toFixed(0)} ms CPU of all threads, ${wall.toFixed(0)} ms on this one, ` +
          `longest turn ${longest.toFixed(1)} ms, without collecting garbage ${work.toFixed(1)}; ` +
          `one changed ${changeOf(policies, onePolicy(shape, 5000, rules)).toFixed(2)} ms`,
      );
    }
  }
  return { ours: dearest, unit: 'ms CPU/10000 policies', ...NO_PEER, notes };
}

interface Turns {
  /** The longest, and the longest without what the collection of garbage took of it. Milliseconds. */
  readonly longest: number;
  readonly longestOfWork: number;
}

/**
 * How long the loop is held by turns of `TURN` milliseconds, in this thread's CPU: waiting for a core is not ours.
 * Between turns the loop goes round, as it does in a sidecar, and so tells of collections.
 */
async function turnsOf(policies: ReturnType<typeof policiesOf>, protocol: 'http' | 'tcp'): Promise<Turns> {
  const collected: { readonly at: number; readonly took: number }[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) collected.push({ at: startTime, took: duration });
  });
  observer.observe({ entryTypes: ['gc'] });
  const slices = compileInSlices({ ...SCOPE, protocol, policies });
  const turns: { readonly from: number; readonly to: number; readonly cpu: number }[] = [];
  const cpuNow = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  const elapsed = (): number => performance.now();
  for (let done = false; !done;) {
    const [from, before] = [elapsed(), cpuNow()];
    done = oneTurn(slices, { elapsed, budget: TURN }) !== undefined;
    const to = elapsed();
    // Where the kernel counts CPU in ticks of 4 ms, a turn may be told one that it did not last.
    turns.push({ from, to, cpu: Math.min(cpuNow() - before, to - from) });
    await setImmediate();
  }
  await setTimeout(10);
  observer.disconnect();
  const workOf = ({ from, to, cpu }: (typeof turns)[number]): number =>
    collected.filter(({ at }) => at >= from && at <= to).reduce((left, { took }) => left - took, cpu);
  return { longest: Math.max(...turns.map(({ cpu }) => cpu)), longestOfWork: Math.max(...turns.map(workOf)) };
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

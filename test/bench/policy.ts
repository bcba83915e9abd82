import { normalizePath } from '../../src/policy/path-normalization.ts';
import { compile, nanosecondsOf, POLICY_SHAPES, policyCase } from './policy-shapes.ts';

// What a decision costs, by the number of policies that apply to the workload and by their shape:
//   npm exec -c 'node test/bench/policy.ts'

const shown = (ns: number): string => `${ns.toFixed(ns < 100 ? 1 : 0)} ns`;

for (const shape of Object.keys(POLICY_SHAPES)) {
  for (const count of [10, 100, 1000]) {
    const { policies, bind, allow, refuse } = policyCase(shape, count);
    const started = process.hrtime.bigint();
    compile(policies);
    const compiling = Number(process.hrtime.bigint() - started) / 1e6;
    console.log(
      [
        shape.padEnd(28),
        `${count} policies`.padEnd(14),
        `compile ${compiling.toFixed(1)} ms`.padEnd(18),
        `connection ${shown(nanosecondsOf(2_000_000 / count, bind))}`.padEnd(24),
        `allowed ${shown(nanosecondsOf(1_000_000, allow))}`.padEnd(18),
        `refused ${shown(nanosecondsOf(1_000_000, refuse))}`,
      ].join(' '),
    );
  }
}

for (const path of ['/api/v1/things/42', '/api/../v1/%74hings']) {
  console.log(`normalize ${path} ${shown(nanosecondsOf(1_000_000, () => normalizePath(path, 'BASE')))}`);
}

import { createPolicyAuthorizer } from '../../proxy/authorize/policy-authorizer.ts';
import { createTokenStep } from '../../proxy/authorize/tokens/token-step.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { TestMesh } from '../fakes/mesh-certificates.ts';
import { signToken, testKey } from '../fakes/tokens.ts';
import { facts, requestOf } from '../proxy/authorize/asked.ts';
import { sidecarConfig, TestConfig, workload } from '../proxy/sidecar-world.ts';

// What authorization of a request costs without token rules, with a token that was seen before, and with new ones:
//   npm exec -c 'node test/bench/tokens.ts'

const issuer = 'https://issuer.example.org';
const rootsPem = (await TestMesh.create()).rootPem;
const own = workload({ name: 'catalog' });
const policies = { allow: { rules: [{ from: [{ source: { requestPrincipals: [`${issuer}/*`] } }] }] } };

function decider(jwtRules: readonly object[], applied: Record<string, object>) {
  const authentications = jwtRules.length === 0 ? {} : { tokens: { jwtRules } };
  const config = new TestConfig(sidecarConfig({ workload: own, rootsPem, authentications, policies: applied }));
  const keys = { find: () => undefined, askAgain: () => undefined };
  const tokens = createTokenStep({ keys, clock: Date });
  return createPolicyAuthorizer({ config, tokens, logger: new RecordingLogger() }).forConnection(facts());
}

function microseconds(times: number, run: (index: number) => void): string {
  for (let index = 0; index < times / 10; index += 1) run(index);
  const { user, system } = process.cpuUsage();
  for (let index = 0; index < times; index += 1) run(index);
  const spent = process.cpuUsage({ user, system });
  return `${((spent.user + spent.system) / times).toFixed(2)} µs`;
}

const claims = (index: number) => ({ iss: issuer, sub: `user-${index}`, exp: Date.now() / 1_000 + 3_600, aud: 'shop' });
const bare = requestOf(['GET /books HTTP/1.1', 'x-a: 1']);
const path = { allow: { rules: [{ to: [{ operation: { paths: ['/books'] } }] }] } };
const without = decider([], path);
console.log(
  'no token rules'.padEnd(24),
  microseconds(1_000_000, () => void without.decide(bare, '/books')),
);
for (const alg of ['RS256', 'ES256', 'EdDSA']) {
  const key = testKey('bench', alg);
  const judge = decider([{ issuer, jwks: JSON.stringify({ keys: [key.jwk] }) }], policies);
  const heads = Array.from({ length: 4_000 }, (_, index) =>
    requestOf(['GET /books HTTP/1.1', `Authorization: Bearer ${signToken(key, claims(index))}`]),
  );
  const ask = (index: number): void => {
    const head = heads[index];
    if (head === undefined) throw new Error('there are not so many tokens');
    head.dropped.fill(0);
    const verdict = judge.decide(head, '/books');
    if (verdict instanceof Promise || !verdict.allowed) throw new Error('a good token was refused');
  };
  console.log(
    `${alg}, seen before`.padEnd(24),
    microseconds(200_000, () => ask(0)),
  );
  // More of them than are remembered, so that each is verified.
  console.log(`${alg}, new`.padEnd(24), microseconds(4_000, ask));
}

import { strict as assert } from 'node:assert';
import { createPolicyAuthorizer } from '../../../proxy/authorize/policy-authorizer.ts';
import { createPolicyWatch, type PolicyWatch } from '../../../proxy/authorize/policy-watch.ts';
import { createMetrics, type Metrics } from '../../../src/observe/metrics.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { TestMesh } from '../../fakes/mesh-certificates.ts';
import { sidecarConfig, TestConfig, workload } from '../sidecar-world.ts';
import { facts, FRONT, requestOf } from './asked.ts';

const ADMIN = { rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }] };
const BOOKS = { rules: [{ to: [{ operation: { paths: ['/books'] } }] }] };

describe('policies that decide nothing', () => {
  let rootsPem: string;
  let metrics: Metrics;
  let logger: RecordingLogger;
  let watch: PolicyWatch;

  before(async () => {
    rootsPem = (await TestMesh.create()).rootPem;
  });

  beforeEach(() => {
    metrics = createMetrics({ processMetrics: false });
    logger = new RecordingLogger();
    watch = createPolicyWatch({ metrics, logger });
  });

  const connectionBy = (policies: Record<string, object>, dryRuns: readonly string[]) => {
    const config = new TestConfig(
      sidecarConfig({ workload: workload({ name: 'catalog' }), rootsPem, policies, dryRuns }),
    );
    return createPolicyAuthorizer({ config, logger, watch }).forConnection(facts());
  };
  const allowed = async (connection: ReturnType<typeof connectionBy>, path: string): Promise<boolean> => {
    const head = requestOf([`GET ${path} HTTP/1.1`, 'X-Request-Id: one']);
    return (await connection.decide(head, path)).allowed;
  };
  const series = async (name: string): Promise<string[]> =>
    (await metrics.render()).body.split('\n').filter((line) => line.startsWith(`${name}{`));

  it('are counted and told of where AUDIT matches, and deny nothing', async () => {
    const connection = connectionBy({ admin: { action: 'AUDIT', ...ADMIN } }, []);
    assert.equal(await allowed(connection, '/admin'), true);
    assert.equal(await allowed(connection, '/books'), true);
    assert.deepEqual(await series('sealwright_policy_audit_total'), [
      'sealwright_policy_audit_total{policy="shop/admin"} 1',
    ]);
    const [{ message, fields } = assert.fail(), ...others] = logger.lines;
    assert.equal(message, 'a rule of an AUDIT policy matched');
    assert.deepEqual(
      [fields['policy'], fields['rule'], fields['from'], fields['requestId']],
      ['shop/admin', 0, FRONT, 'one'],
    );
    assert.deepEqual(others, []);
  });

  it('are counted as dry runs by action and as a whole, and told of where the answer would be another', async () => {
    const connection = connectionBy({ admin: { action: 'DENY', ...ADMIN }, books: BOOKS }, ['admin', 'books']);
    for (const path of ['/admin', '/books', '/other']) assert.equal(await allowed(connection, path), true, path);
    assert.deepEqual((await series('sealwright_policy_dry_run_total')).sort(), [
      'sealwright_policy_dry_run_total{authz_dry_run_action="all",authz_dry_run_result="allowed",policy="shop/books"} 1',
      'sealwright_policy_dry_run_total{authz_dry_run_action="all",authz_dry_run_result="denied",policy=""} 1',
      'sealwright_policy_dry_run_total{authz_dry_run_action="all",authz_dry_run_result="denied",policy="shop/admin"} 1',
      'sealwright_policy_dry_run_total{authz_dry_run_action="allow",authz_dry_run_result="allowed",policy="shop/books"} 1',
      'sealwright_policy_dry_run_total{authz_dry_run_action="allow",authz_dry_run_result="denied",policy=""} 2',
      'sealwright_policy_dry_run_total{authz_dry_run_action="deny",authz_dry_run_result="allowed",policy=""} 2',
      'sealwright_policy_dry_run_total{authz_dry_run_action="deny",authz_dry_run_result="denied",policy="shop/admin"} 1',
    ]);
    assert.deepEqual(
      logger.lines.map(({ message, fields }) => [message, fields['policy'], fields['reason']]),
      [
        ['with the dry runs in force it would be denied', 'shop/admin', 'rule 0 of DENY policy shop/admin matched'],
        [
          'with the dry runs in force it would be denied',
          undefined,
          'an ALLOW policy applies and no ALLOW rule matched',
        ],
      ],
    );
  });

  it('are told of where a dry run would let in what is denied', async () => {
    const connection = connectionBy({ books: BOOKS, rest: ADMIN }, ['rest']);
    assert.equal(await allowed(connection, '/admin'), false);
    assert.deepEqual(
      logger.lines.map(({ message }) => message),
      ['with the dry runs in force it would be allowed'],
    );
  });

  it('are counted once for an opaque connection, however often it is judged', async () => {
    const connection = connectionBy({ all: { action: 'DENY', rules: [{}] } }, ['all']);
    const gone = { onGone: () => () => undefined };
    assert.equal((await connection.admitConnection(gone)).allowed, true);
    assert.equal(connection.decideConnection().allowed, true);
    assert.ok(
      (await series('sealwright_policy_dry_run_total')).includes(
        'sealwright_policy_dry_run_total{authz_dry_run_action="deny",authz_dry_run_result="denied",policy="shop/all"} 1',
      ),
    );
  });

  it('cost no more than a thousand series, however many there are', async () => {
    const names = Array.from({ length: 1_010 }, (_, index) => `p${index}`);
    const policies = Object.fromEntries(
      names.map((name) => [name, { action: 'AUDIT', rules: [{ to: [{ operation: { paths: [`/${name}`] } }] }] }]),
    );
    const connection = connectionBy(policies, []);
    for (const name of names) await allowed(connection, `/${name}`);
    const found = await series('sealwright_policy_audit_total');
    assert.equal(found.length, 1_001);
    assert.ok(found.includes('sealwright_policy_audit_total{policy="other"} 10'));
  });
});

import { strict as assert } from 'node:assert';
import { parseYaml } from '../../src/config/yaml-document.ts';
import { jsonDocument } from '../../src/config/json-document.ts';
import { formatIssue } from '../../src/core/issue.ts';
import { RESOURCE_KINDS } from '../../src/resources/kind.ts';
import { validateResource } from '../../src/resources/validate-resource.ts';
import { validationText } from '../resources/conformance.ts';
import { AUTHORIZATION } from '../resources/istio-rules/authorization-rows.ts';
import { PEERS, TOKENS } from '../resources/istio-rules/authentication-rows.ts';
import { CRDS } from '../resources/istio-rules/crd-rows.ts';
import { OURS } from '../resources/istio-rules/own-rows.ts';
import type { Row } from '../resources/istio-rules/rule-row.ts';
import { applyCrds } from './apply-crds.ts';
import { useCluster, type Cluster } from './cluster.ts';

const RULES = { rootNamespace: 'sealwright-system', strayRoot: 'error', defaultNamespace: 'default' } as const;

interface Verdict {
  readonly taken: boolean;
  readonly why: string;
}

function ourVerdict(document: object): Verdict {
  const errors = validateResource(jsonDocument(document), RULES).filter(({ severity }) => severity === 'error');
  return { taken: errors.length === 0, why: errors.map(formatIssue).join('\n') };
}

/** Nothing is stored. Unknown fields are refused, as for kubectl. */
async function theirVerdict(cluster: Cluster, document: object): Promise<Verdict> {
  const { apiVersion, kind } = document as { apiVersion: string; kind: string };
  const plural = RESOURCE_KINDS.find((row) => row.kind === kind)?.plural;
  const path = `/apis/${apiVersion}/namespaces/default/${plural}?dryRun=All&fieldValidation=Strict`;
  const { status, body } = await cluster.plane.api('POST', path, document);
  assert.ok([201, 400, 422].includes(status), `${status} ${JSON.stringify(body)}`);
  return { taken: status === 201, why: String(body['message']) };
}

/** Rules of Istio's webhook that no schema and no CEL rule of its CRDs holds: ours alone are refused by us alone. */
const BEYOND_THE_SCHEMA = new Set(
  'policy_target_reference policy_custom_without_rules policy_provider_missing policy_custom_field policy_provider_unexpected policy_deny_without_rules policy_from_empty policy_ip_invalid policy_empty_value policy_service_account_invalid policy_trust_domain_invalid policy_to_empty policy_port_invalid policy_path_template_invalid policy_when_empty policy_when_key policy_dry_run_value policy_dry_run_action policy_dry_run_kind policy_internal_annotation policy_issuer_missing policy_jwks_invalid'.split(
    ' ',
  ),
);

describe('the CustomResourceDefinitions in a real API server (slow)', () => {
  const cluster = useCluster();
  before('taught', async function () {
    this.timeout(60_000);
    await applyCrds(cluster());
  });

  for (const kind of ['authz', 'peerauth', 'reqauth', 'destinationrule', 'serviceentry', 'workloadentry']) {
    for (const side of ['valid', 'invalid'] as const) {
      it(`say the same as we do, and as Istio does, of its ${side} documents of ${kind}`, async function () {
        // Others' data is read where it lies and is no part of the project: where it is absent, that has been said.
        const text = validationText(`${kind}-${side}.yaml`) ?? this.skip();
        const documents = parseYaml(text).documents.map(({ value }) => value as Record<string, unknown>);
        assert.ok(documents.length > 0);
        for (const { _err, ...document } of documents) {
          const [ours, theirs] = [ourVerdict(document), await theirVerdict(cluster(), document)];
          const about = `${JSON.stringify(document)}\nours: ${ours.why}\ntheirs: ${theirs.why}\nIstio: ${String(_err)}`;
          assert.equal(theirs.taken, _err === undefined, about);
          assert.equal(ours.taken, _err === undefined, about);
        }
      });
    }
  }

  for (const [whose, rows] of Object.entries({ AUTHORIZATION, CRDS, PEERS, TOKENS, OURS })) {
    it(`refuse nothing that we take, and take of the rows of ${whose.toLowerCase()} only what needs the webhook`, async () => {
      for (const row of rows.filter(({ kind }) => kind !== 'Service')) {
        const document = documentOf(row);
        const [ours, theirs] = [ourVerdict(document), await theirVerdict(cluster(), document)];
        const about = `${row.code} ${JSON.stringify(document).slice(0, 500)}\nours: ${ours.why}\ntheirs: ${theirs.why}`;
        if (ours.taken) assert.ok(theirs.taken, about);
        else if (theirs.taken) assert.ok(BEYOND_THE_SCHEMA.has(row.code), about);
        else if (whose === 'CRDS') assert.ok(!theirs.taken, about);
      }
    });
  }

  it('are known by the names that people type', async () => {
    const { stdout } = await cluster().kubectl([
      'api-resources',
      '--categories=istio-io',
      '-o',
      'wide',
      '--no-headers',
    ]);
    const rows = stdout.trim().split('\n');
    assert.equal(rows.length, 7, stdout);
    for (const { kind, plural, short, apiVersion } of RESOURCE_KINDS.filter((row) =>
      row.apiVersion.includes('istio'),
    )) {
      const line = rows.find((row) => row.split(/\s+/).includes(kind)) ?? '';
      const words = line.split(/\s+/);
      for (const word of [plural, ...short, apiVersion]) assert.ok(words.includes(word), `${word} in ${line}`);
    }
  });

  it('take an older version, and hand it out in the one that is stored', async () => {
    const namespace = await cluster().namespace('versions');
    const metadata = { name: 'old', namespace };
    await cluster().apply([
      {
        apiVersion: 'security.istio.io/v1beta1',
        kind: 'AuthorizationPolicy',
        metadata,
        spec: { action: 'DENY', rules: [{}] },
      },
      { apiVersion: 'networking.istio.io/v1alpha3', kind: 'DestinationRule', metadata, spec: { host: 'a' } },
    ]);
    const args = ['-n', namespace, '-o', 'jsonpath={.items[*].apiVersion}'];
    const { stdout } = await cluster().kubectl(['get', 'ap,dr', ...args]);
    assert.equal(stdout, 'security.istio.io/v1 networking.istio.io/v1');
    const listed = await cluster().kubectl(['get', 'ap', '-n', namespace, '--no-headers']);
    assert.match(listed.stdout, /^old\s+DENY\s/);
  });

  it('keep a status that is written by itself, and the conditions of several controllers beside each other', async () => {
    const namespace = await cluster().namespace('status');
    const head = { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy' };
    const metadata = { name: 'a', namespace };
    await cluster().apply({
      ...head,
      metadata,
      spec: {},
      status: { conditions: [{ type: 'Forged', status: 'True' }] },
    });
    const path = `/apis/security.istio.io/v1/namespaces/${namespace}/authorizationpolicies/a`;
    for (const type of ['Accepted', 'Reconciled']) {
      const conditions = [{ type, status: 'True' }];
      const args = ['apply', '--server-side', '--subresource=status', `--field-manager=${type}`, '-f', '-'];
      const { code, stderr } = await cluster().kubectl(
        args,
        JSON.stringify({ ...head, metadata, status: { conditions } }),
      );
      assert.equal(code, 0, stderr);
    }
    const { status, metadata: kept } = await cluster().ask('GET', path);
    const { conditions } = status as { conditions: { type: string }[] };
    assert.deepEqual(
      conditions.map(({ type }) => type),
      ['Accepted', 'Reconciled'],
    );
    assert.equal((kept as Record<string, unknown>)['generation'], 1);
  });
});

function documentOf({ kind = 'AuthorizationPolicy', spec, annotations }: Row): object {
  const metadata = { name: 'a', namespace: 'default', ...(annotations === undefined ? {} : { annotations }) };
  return { apiVersion: 'security.istio.io/v1', kind, metadata, spec };
}

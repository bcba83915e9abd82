import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { parseYaml } from '../../src/config/yaml-document.ts';
import { formatIssue } from '../../src/core/issue.ts';
import { readResources } from '../../src/resources/read-file.ts';
import { validationCases, validationText, VALIDATORS, type ValidationCase } from './conformance.ts';

/** What Istio says (a part of it) against our code and field. */
const SAME_VERDICT: Readonly<Record<string, readonly [code: string, field: string]>> = {
  'spec: Required value': ['field_required', 'spec'],
  'spec.hosts: Required value': ['field_required', 'spec.hosts'],
  'wildcard is not supported in selector': ['selector_wildcard', 'spec.workloadSelector.labels["val"]'],
  'only one of WorkloadSelector or Endpoints can be set': ['endpoints_and_selector', 'spec.endpoints'],
  'hostname cannot be wildcard': ['host_wildcard', 'spec.hosts[0]'],
  'CIDR addresses are allowed only for NONE/STATIC resolution types': ['address_range', 'spec.addresses[0]'],
  'Duplicate value': ['port_duplicate', 'spec.ports[1].name'],
  'port number cannot be duplicated': ['port_duplicate', 'spec.ports[1].number'],
  'NONE mode cannot set endpoints': ['endpoints_unwanted', 'spec.endpoints'],
  'DNS_ROUND_ROBIN mode cannot have multiple endpoints': ['endpoints_many', 'spec.endpoints'],
  'Address is required': ['address_required', 'spec.address'],
  'UDS may not be a dir': ['unix_address_invalid', 'spec.address'],
  'UDS must be an absolute path or abstract socket': ['unix_address_invalid', 'spec.address'],
  'UDS may not include ports': ['unix_address_ports', 'spec.ports'],
  'Cannot set serviceAccounts with namespaces or principals': [
    'policy_service_accounts_mixed',
    'spec.rules[0].from[0].source',
  ],
  'Unsupported value: "BLAH"': ['policy_mtls_mode_unknown', 'spec.mtls.mode'],
  'type conversion error from': ['policy_port_invalid', 'spec.portLevelMtls.acd'],
  'portLevelMtls requires selector': ['policy_port_mtls_without_selector', 'spec.portLevelMtls'],
  'spec.portLevelMtls in body should have at least 1 properties': ['policy_port_mtls_empty', 'spec.portLevelMtls'],
  'spec.ports: Invalid value': ['port_name_invalid', 'spec.ports["@"]'],
  'spec.trafficPolicy.loadBalancer.warmup.minimumPercent: Invalid value': [
    'field_range',
    'spec.trafficPolicy.loadBalancer.warmup.minimumPercent',
  ],
  'spec.trafficPolicy.loadBalancer.warmup.duration: Required value': [
    'field_required',
    'spec.trafficPolicy.loadBalancer.warmup.duration',
  ],
  'spec.trafficPolicy.loadBalancer.warmup.aggression: Invalid value': [
    'field_range',
    'spec.trafficPolicy.loadBalancer.warmup.aggression',
  ],
};

/** The one sentence of Istio's that stands for several fields. */
const PORT_FIELDS: Readonly<Record<string, string>> = {
  'bad-port': 'spec.ports[0].number',
  'bad-port-target': 'spec.ports[0].targetPort',
  'high-port': 'spec.ports["http"]',
};

/** The same sentence about the ports of a PeerAuthentication. */
const PEER_PORT_FIELDS: Readonly<Record<string, string>> = {
  'zero-port': 'spec.portLevelMtls["0"]',
  'high-port': 'spec.portLevelMtls["42949672"]',
};

describe("Istio's own valid and invalid resources", () => {
  const casesOf = (context: Mocha.Context, kind: string, verdict: 'valid' | 'invalid'): ValidationCase[] => {
    return validationCases(`${kind}-${verdict}.yaml`) ?? context.skip();
  };

  for (const [kind, valid, invalid] of [
    ['serviceentry', 5, 12],
    ['workloadentry', 5, 7],
    ['authz', 2, 2],
    ['peerauth', 2, 6],
    ['destinationrule', 4, 3],
  ] as const) {
    it(`of ${kind} that are valid are taken`, function () {
      const cases = casesOf(this, kind, 'valid');
      assert.equal(cases.length, valid);
      for (const { name, refusal, reading } of cases) {
        assert.equal(refusal, undefined);
        assert.deepEqual(reading.issues.filter(({ severity }) => severity === 'error').map(formatIssue), [], name);
        assert.equal(reading.resources.length, 1, name);
      }
    });

    it(`of ${kind} that are invalid are refused for the same field`, function () {
      const cases = casesOf(this, kind, 'invalid');
      assert.equal(cases.length, invalid);
      for (const { name, refusal, reading } of cases) {
        assert.ok(refusal !== undefined, name);
        const port = refusal.startsWith('port must be between') ? PORT_FIELDS[name] : undefined;
        const ofMode = refusal.startsWith('port must be between 1-65535') && kind === 'peerauth';
        const portField = ofMode ? PEER_PORT_FIELDS[name] : port;
        const expected =
          portField === undefined
            ? SAME_VERDICT[refusal]
            : [ofMode ? 'policy_port_invalid' : 'port_invalid', portField];
        const found = reading.issues
          .filter(({ severity }) => severity === 'error')
          .map(({ code, path }) => [code, path]);
        assert.ok(expected !== undefined, `no row for ${refusal}`);
        assert.deepEqual(found[0], [...expected], `${name}: ${reading.issues.map(formatIssue).join('\n')}`);
        assert.deepEqual(reading.resources, [], name);
      }
    });
  }

  describe('changed by somebody', () => {
    const FILES = ['authz', 'peerauth', 'reqauth', 'destinationrule', 'serviceentry', 'workloadentry'].flatMap(
      (kind) => [`${kind}-valid.yaml`, `${kind}-invalid.yaml`],
    );

    it('are read without an exception, and every finding has a place, a field and a remedy', function () {
      const texts = FILES.flatMap((file) => validationText(file) ?? []);
      if (texts.length === 0) this.skip();
      const piece = fc.constantFrom(
        '',
        ':',
        '- ',
        '  ',
        '{',
        ']',
        '"',
        '&a ',
        '*a',
        '!!int ',
        '---\n',
        '\t',
        '~',
        '*',
        '/{**}',
        '0',
        '\u0000',
      );
      const edit = fc.record({ at: fc.nat(), length: fc.nat({ max: 6 }), piece });
      fc.assert(
        fc.property(fc.constantFrom(...texts), fc.array(edit, { minLength: 1, maxLength: 4 }), (text, edits) => {
          let changed = text;
          for (const { at, length, piece: put } of edits) {
            const place = at % (changed.length + 1);
            changed = changed.slice(0, place) + put + changed.slice(place + length);
          }
          const { issues } = readResources(changed, { file: 'a.yaml', validators: VALIDATORS, createdAt: () => 0 });
          for (const issue of issues) {
            assert.notEqual(issue.code, 'resource_check_failed', changed);
            assert.ok(issue.line !== undefined && issue.remedy !== '' && issue.message !== '', formatIssue(issue));
          }
        }),
        { numRuns: 1_500 },
      );
    });

    it('are refused wherever a field is added that is none: a condition that is not read is one not applied', function () {
      for (const file of ['authz-valid.yaml', 'peerauth-valid.yaml']) {
        const text = validationText(file) ?? this.skip();
        for (const { value } of parseYaml(text).documents) {
          const spec = (value as { spec: unknown }).spec;
          let places = 0;
          for (const object of objectsIn(spec)) {
            // Labels, and ports, have names of the writer's own.
            if (Object.values(object).every((item) => typeof item === 'string') && !('key' in object)) continue;
            places += 1;
            object['principal'] = ['a'];
            const reading = readResources(JSON.stringify(value), { file, validators: VALIDATORS, createdAt: () => 0 });
            delete object['principal'];
            assert.deepEqual(reading.resources, [], JSON.stringify(object));
          }
          assert.ok(places > 0 || file === 'peerauth-valid.yaml');
        }
      }
    });
  });
});

function* objectsIn(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield value as Record<string, unknown>;
  for (const inner of Object.values(value)) yield* objectsIn(inner);
}

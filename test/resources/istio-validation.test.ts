import { strict as assert } from 'node:assert';
import { formatIssue } from '../../src/core/issue.ts';
import { validationCases, type ValidationCase } from './conformance.ts';

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
  'spec.ports: Invalid value': ['port_name_invalid', 'spec.ports["@"]'],
};

/** The one sentence of Istio's that stands for several fields. */
const PORT_FIELDS: Readonly<Record<string, string>> = {
  'bad-port': 'spec.ports[0].number',
  'bad-port-target': 'spec.ports[0].targetPort',
  'high-port': 'spec.ports["http"]',
};

describe("Istio's own valid and invalid resources", () => {
  const casesOf = (context: Mocha.Context, kind: string, verdict: 'valid' | 'invalid'): ValidationCase[] => {
    return validationCases(`${kind}-${verdict}.yaml`) ?? context.skip();
  };

  for (const [kind, valid, invalid] of [
    ['serviceentry', 5, 12],
    ['workloadentry', 5, 7],
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
        const expected = port === undefined ? SAME_VERDICT[refusal] : ['port_invalid', port];
        const found = reading.issues
          .filter(({ severity }) => severity === 'error')
          .map(({ code, path }) => [code, path]);
        assert.ok(expected !== undefined, `no row for ${refusal}`);
        assert.deepEqual(found[0], [...expected], `${name}: ${reading.issues.map(formatIssue).join('\n')}`);
        assert.deepEqual(reading.resources, [], name);
      }
    });
  }
});

import { strict as assert } from 'node:assert';
import { jsonDocument } from '../../src/config/json-document.ts';
import { stringifyYaml } from '../../src/config/stringify-yaml.ts';
import { parseYaml } from '../../src/config/yaml-document.ts';
import type { Issue } from '../../src/core/issue.ts';
import { validateResource } from '../../src/resources/validate-resource.ts';
import { AUTHORIZATION } from './istio-rules/authorization-rows.ts';
import { CRDS } from './istio-rules/crd-rows.ts';
import { OURS, QUIET } from './istio-rules/own-rows.ts';
import { PEERS, TOKENS } from './istio-rules/authentication-rows.ts';
import type { Row } from './istio-rules/rule-row.ts';

const RULES = { rootNamespace: 'istio-system', strayRoot: 'error' } as const;

describe("each of Istio's rules for a policy", () => {
  const documentOf = ({
    kind = 'AuthorizationPolicy',
    spec,
    annotations,
  }: Pick<Row, 'kind' | 'spec' | 'annotations'>) => ({
    apiVersion: kind === 'Service' ? 'v1' : 'security.istio.io/v1',
    kind,
    metadata: { name: 'a', namespace: 'shop', ...(annotations === undefined ? {} : { annotations }) },
    spec,
  });
  const ofObject = (document: object): readonly Issue[] => validateResource(jsonDocument(document), RULES);
  const ofFile = (document: object): readonly Issue[] =>
    parseYaml(stringifyYaml(document), { file: 'a.yaml' }).documents.flatMap((one) => [
      ...validateResource(one, RULES),
    ]);
  const said = ({ severity, code, path, message, remedy }: Issue): string[] => [severity, code, path, message, remedy];

  for (const [whose, rows] of Object.entries({ AUTHORIZATION, CRDS, PEERS, TOKENS, OURS })) {
    for (const row of rows) {
      const { rule, what, severity = 'error', code, path } = row;
      it(`(${whose.toLowerCase()} ${rule}) ${severity === 'error' ? 'refuses' : 'warns of'} ${what}, by field, with a remedy`, () => {
        const document = documentOf(row);
        const issues = ofObject(document);
        const found = issues.find((issue) => issue.code === code && issue.path === path);
        assert.ok(found, JSON.stringify(issues, null, 1));
        assert.equal(found.severity, severity);
        assert.ok(found.remedy !== '' && found.message !== '');
        assert.equal(found.object, `${document.kind} shop/a`);
        assert.deepEqual([found.file, found.line], [undefined, undefined], 'there is no file');
        if (severity === 'warning') assert.ok(issues.every((issue) => issue.severity === 'warning'));
        // The same of a file, with the line.
        const written = ofFile(document);
        assert.deepEqual(written.map(said), issues.map(said));
        for (const issue of written) assert.ok(issue.file === 'a.yaml' && (issue.line ?? 0) > 0, JSON.stringify(issue));
      });
    }
  }

  for (const [what, spec] of QUIET) {
    it(`says nothing of ${what}`, () => assert.deepEqual(ofObject(documentOf({ spec })), []));
  }
});

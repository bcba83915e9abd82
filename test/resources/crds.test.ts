import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { jsonDocument } from '../../src/config/json-document.ts';
import { RESOURCE_KINDS } from '../../src/resources/kind.ts';
import { validateResource } from '../../src/resources/validate-resource.ts';
import { CRD_KINDS, renderCrds } from '../../tools/crds/render-crds.ts';
import type { Schema } from '../../tools/crds/schema.ts';
import { PROJECT } from '../structure/sources.ts';

const RULES = { rootNamespace: 'sealwright-system', strayRoot: 'error' } as const;

/** Parts of which we read nothing but that they are there. */
const UNREAD = /(consistentHash|localityLbSetting|zoneAwareLbSetting|tunnel|proxyProtocol|onnectionPool)\b/;

/** Fields that we know and Istio's API has no more, or not yet. */
const OURS_ALONE = ['spec: trafficPolicyExtensions', 'http2KeepAlive: connectionIdleInterval'];

/** What the message has for gateways, for which it was made: a Sidecar that names one of them is refused. */
const OF_GATEWAYS =
  'httpsRedirect caCrl credentialName credentialNames caCertCredentialName tlsCertificates subjectAltNames verifyCertificateSpki verifyCertificateHash insecureSkipVerify'.split(
    ' ',
  );

/** Each object of a schema that has fields of its own, with the way to it. */
function* objectsOf(
  schema: Schema,
  way: readonly string[] = [],
): Generator<{ way: readonly string[]; fields: string[] }> {
  const { properties, items, additionalProperties } = schema as Record<string, Schema | undefined>;
  if (properties !== undefined) yield { way, fields: Object.keys(properties) };
  for (const [name, field] of Object.entries(properties ?? {})) yield* objectsOf(field as Schema, [...way, name]);
  if (items !== undefined) yield* objectsOf(items, [...way, '[]']);
  if (additionalProperties !== undefined) yield* objectsOf(additionalProperties, [...way, '80']);
}

/** A value in which that way leads to this. */
function valueAt([first, ...rest]: readonly string[], inside: unknown): unknown {
  if (first === undefined) return inside;
  return first === '[]' ? [valueAt(rest, inside)] : { [first]: valueAt(rest, inside) };
}

describe('the CustomResourceDefinitions', () => {
  it('are the files that the tool writes', () => {
    const folder = join(PROJECT, 'manifests/crds');
    const rendered = renderCrds();
    assert.deepEqual(readdirSync(folder).toSorted(), [...rendered.keys()].toSorted());
    for (const [name, text] of rendered) {
      assert.equal(readFileSync(join(folder, name), 'utf8'), text, `${name}: run tools/write-crds.ts`);
    }
  });

  it('show beside each other whether a resource was accepted and why', () => {
    const judged = CRD_KINDS.filter(({ columns }) => columns.some(({ name }) => name === 'Accepted'));
    assert.equal(judged.length, 5);
    for (const { kind, columns } of judged) {
      const at = columns.findIndex(({ name }) => name === 'Accepted');
      const { name, jsonPath, priority } = columns[at + 1] ?? assert.fail(kind);
      assert.deepEqual(
        [name, jsonPath, priority],
        ['Reason', columns[at]?.jsonPath.replace(/status$/, 'reason'), undefined],
      );
    }
  });

  it('are of every kind that is read and that Kubernetes does not know by itself', () => {
    const own = RESOURCE_KINDS.filter(({ apiVersion }) => apiVersion.includes('.istio.io/'));
    assert.deepEqual(CRD_KINDS.map(({ kind }) => kind).toSorted(), own.map(({ kind }) => kind).toSorted());
  });

  for (const { kind, spec } of CRD_KINDS) {
    it(`have the fields of a ${kind} that are read here, and no others, at every level`, () => {
      const apiVersion = RESOURCE_KINDS.find((row) => row.kind === kind)?.apiVersion;
      let compared = 0;
      for (const { way, fields } of objectsOf(spec)) {
        const place = ['spec', ...way].join('.');
        if (UNREAD.test(place) || place.includes('tlsCertificates')) continue;
        const gateways = place === 'spec.ingress.[].tls' ? OF_GATEWAYS : [];
        const wrong = valueAt(way, { qqqqqqqqqqqqqqqqqqqq: 1 });
        const document = { apiVersion, kind, metadata: { name: 'a', namespace: 'shop' }, spec: wrong };
        const issues = validateResource(jsonDocument(document), RULES);
        const told = issues.find(({ path }) => path.endsWith('qqqqqqqqqqqqqqqqqqqq'));
        assert.ok(told !== undefined, `${place}: ${JSON.stringify(issues)}`);
        const known = told.remedy.replace(/^(one of:|the fields are) /, '').split(', ');
        const last = way.at(-1) ?? 'spec';
        const alone = (name: string): boolean => OURS_ALONE.includes(`${last}: ${name}`);
        assert.deepEqual([...known.filter((name) => !alone(name)), ...gateways].toSorted(), fields.toSorted(), place);
        compared += 1;
      }
      assert.ok(compared >= 1, `none was compared`);
    });
  }
});

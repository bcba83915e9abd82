import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { judgeBundle, type OurRoots } from '../../../ca/controllers/judge-bundle.ts';
import { configMapReader } from '../../../ca/controllers/bundle-config-map.ts';
import { encodeCertificates } from '../../../src/pki/certificate-pem.ts';
import { readKubernetesObject } from '../../../src/kubernetes/kubernetes-object.ts';
import { makeCertificate } from '../../fakes/certificates.ts';

describe('a published bundle', () => {
  let ours: OurRoots;
  let stranger: string;
  before(async () => {
    const { certificate } = await makeCertificate({ subject: 'O=cluster.local' });
    ours = { pem: encodeCertificates([certificate]), roots: [certificate] };
    stranger = encodeCertificates([(await makeCertificate({ subject: 'O=other' })).certificate]);
  });

  const piece = (): fc.Arbitrary<string> =>
    fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.constantFrom(
        '-----BEGIN CERTIFICATE-----',
        '-----END CERTIFICATE-----',
        '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----',
        '-----BEGIN',
        'MIIB',
        '\r\n',
        '#',
      ),
      fc.constant('').map(() => ours.pem),
      fc.constant('').map(() => ours.pem.slice(0, 300)),
    );

  it('is another’s wherever in it another’s root stands', () => {
    fc.assert(
      fc.property(fc.array(piece(), { maxLength: 6 }), fc.array(piece(), { maxLength: 6 }), (before, after) => {
        const text = `${before.join('\n')}\n${stranger}${after.join('\n')}`;
        assert.equal(judgeBundle(text, ours).kind, 'foreign', text);
      }),
    );
  });

  it('is never another’s where none stands in it, and ours only to the letter', () => {
    fc.assert(
      fc.property(fc.array(piece(), { maxLength: 8 }), (pieces) => {
        const text = pieces.join('\n');
        assert.equal(judgeBundle(text, ours).kind, text === ours.pem ? 'ours' : 'differs', text);
      }),
    );
    assert.equal(judgeBundle(ours.pem, ours).kind, 'ours');
    assert.equal(judgeBundle(undefined, ours).kind, 'differs');
  });

  it('is another’s with line ends of Windows, in one line, and under the names of other writers', () => {
    const body = stranger.split('\n').slice(1, -2);
    const forms = [
      stranger.replaceAll('\n', '\r\n'),
      `-----BEGIN CERTIFICATE-----\n${body.join('')}\n-----END CERTIFICATE-----`,
      stranger.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE'),
      stranger.replaceAll('CERTIFICATE', 'X509 CERTIFICATE'),
      `-----BEGIN CERTIFICATE-----\nKey: value\n\n${body.join('\n')}\n-----END CERTIFICATE-----`,
    ];
    for (const text of forms) assert.equal(judgeBundle(text, ours).kind, 'foreign', text);
  });

  it('is read out of whatever an API server sends as a ConfigMap', () => {
    const read = configMapReader();
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (data, labels) => {
        const object = readKubernetesObject(
          { metadata: { name: 'istio-ca-root-cert', labels }, data },
          { apiVersion: 'v1', kind: 'ConfigMap' },
        );
        if (object === undefined) return;
        const held = read(object);
        assert.ok(held.text === undefined || typeof held.text === 'string');
        assert.equal(typeof held.labelled, 'boolean');
      }),
    );
  });
});

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { SealwrightError } from '../../src/core/errors.ts';
import type { TrustBundle } from '../../src/identity/trust-bundle.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import * as der from '../../src/pki/der/writer.ts';
import { OID } from '../../src/pki/oids.ts';
import { verifySvid } from '../../src/pki/verify-svid.ts';
import {
  type CertificateOrder,
  ecKeys,
  extension,
  makeCa,
  makeCertificate,
  type MadeCertificate,
  makeSvid,
  MADE_UNTIL,
  nameOf,
  spkiOf,
  svidExtensions,
} from '../fakes/certificate-maker.ts';
import { failureOf } from '../fakes/failure.ts';
import { mutationsOf } from '../fakes/mutations.ts';

const NOW = Date.parse('2026-06-01T12:00:00Z');
const ID = 'spiffe://cluster.local/ns/shop/sa/catalog';
const bundleOf = (trustDomain: string, ...roots: MadeCertificate[]): TrustBundle => ({
  trustDomain: parseTrustDomain(trustDomain),
  roots: roots.map((root) => root.der),
});

describe('the verification of an X.509-SVID', () => {
  const root = makeCa('cluster.local');
  const bundle = bundleOf('cluster.local', root);
  const leaf = makeSvid(ID, root);

  const rejects = (
    chain: readonly MadeCertificate[],
    rule: string,
    reason: RegExp,
    { by = bundle, now = NOW }: { by?: Parameters<typeof verifySvid>[1]; now?: number } = {},
  ): void => {
    const failure = failureOf(
      () =>
        verifySvid(
          chain.map((one) => one.der),
          by,
          now,
        ),
      'svid_invalid',
    );
    assert.equal(failure.fields['rule'], rule, failure.message);
    assert.match(String(failure.fields['reason']), reason);
  };

  it('accepts a leaf under a root of its own trust domain, and says until when', () => {
    const verified = verifySvid([leaf.der], bundle, NOW);
    assert.equal(verified.identity.toString(), ID);
    assert.deepEqual(
      verified.path.map((one) => one.der),
      [leaf.der, root.der],
    );
    assert.equal(verified.notAfter, MADE_UNTIL);
    assert.equal(verifySvid([leaf.der], bundle, MADE_UNTIL + 999).notAfter, MADE_UNTIL);
  });

  it('accepts a leaf under intermediates, in whatever order they and the root were sent', () => {
    const first = makeCa('first', { issuer: root, pathLength: 1, notAfter: NOW + 5_000 });
    const second = makeCa('second', { issuer: first, pathLength: 0 });
    const under = makeSvid(ID, second);
    for (const chain of [
      [under, second, first],
      [under, first, second],
      [under, root, first, second],
    ]) {
      const verified = verifySvid(
        chain.map((one) => one.der),
        bundle,
        NOW,
      );
      assert.equal(verified.path.length, 4);
      assert.equal(verified.notAfter, NOW + 5_000);
    }
    rejects([under, first], 'RFC5280-6.1', /unknown authority/);
  });

  it('tries another way to the root where one has expired', () => {
    const keys = ecKeys();
    const old = makeCa('crossed', { issuer: root, keys, notAfter: NOW - 1_000 });
    const renewed = makeCa('crossed', { issuer: root, keys });
    const under = makeSvid(ID, renewed);
    verifySvid([under.der, old.der, renewed.der], bundle, NOW);
    rejects([under, old], 'RFC5280-4.1.2.5', /has expired/);
  });

  it('passes over a root of the bundle that cannot be read', () => {
    const damaged = { trustDomain: bundle.trustDomain, roots: [Buffer.from('not a certificate'), root.der] };
    verifySvid([leaf.der], damaged, NOW);
  });

  describe('by the rules of SPIFFE', () => {
    const made = (...extensions: Buffer[]): MadeCertificate[] => [
      makeCertificate({ issuer: root, subject: der.sequence(), extensions }),
    ];
    const [usage, purposes, notCa, san] = svidExtensions(ID) as [Buffer, Buffer, Buffer, Buffer];
    const looseSan = extension.raw(OID.subjectAltName, der.sequence(der.implicit(6, Buffer.from(ID))));

    const cases: [rule: string, title: string, chain: MadeCertificate[], reason: RegExp][] = [
      [
        'XL-1',
        'no URI SAN',
        made(usage, purposes, notCa, extension.names(der.implicit(2, Buffer.from('a.b')))),
        /no URI SAN/,
      ],
      ['XL-1', 'no SAN', made(usage, purposes, notCa), /no URI SAN/],
      ['XL-1', 'two URI SANs', made(usage, purposes, notCa, extension.uris(ID, `${ID}-2`)), /more than one URI SAN/],
      [
        'ID-1',
        'a URI of another scheme',
        made(usage, purposes, notCa, extension.uris('sparfe://cluster.local/x')),
        /not a SPIFFE ID/,
      ],
      [
        'ID-1',
        'an upper-case trust domain',
        made(usage, purposes, notCa, extension.uris('spiffe://Cluster.local/x')),
        /not a SPIFFE ID/,
      ],
      ['XL-2', 'a root path', [makeSvid('spiffe://cluster.local', root)], /no path/],
      [
        'XL-3',
        'an empty subject and a SAN that is not critical',
        made(usage, purposes, notCa, looseSan),
        /not critical/,
      ],
      ['XL-4', 'the CA flag', made(usage, purposes, extension.ca(), san), /CA flag/],
      ['XL-5', 'no key usage', made(purposes, notCa, san), /no key usage/],
      [
        'XL-5',
        'a key usage that is not critical',
        made(extension.keyUsage(0x80, false), purposes, notCa, san),
        /not critical/,
      ],
      ['XL-6', 'no digitalSignature', made(extension.keyUsage(0x20), purposes, notCa, san), /digitalSignature/],
      ['XL-6', 'keyCertSign', made(extension.keyUsage(0x84), purposes, notCa, san), /keyCertSign/],
      ['XL-6', 'cRLSign', made(extension.keyUsage(0x82), purposes, notCa, san), /cRLSign/],
      ['XL-7', 'serverAuth alone', made(usage, extension.purposes(OID.serverAuth), notCa, san), /clientAuth/],
      ['XL-7', 'any purpose', made(usage, extension.purposes(OID.anyExtendedKeyUsage), notCa, san), /clientAuth/],
    ];
    for (const [rule, title, chain, reason] of cases) {
      it(`refuses a leaf with ${title} (${rule})`, () => rejects(chain, rule, reason));
    }

    it('accepts a leaf with other names beside its one URI, and one without extended key usage', () => {
      const names = extension.names(der.implicit(6, Buffer.from(ID)), der.implicit(2, Buffer.from('catalog.shop')));
      for (const chain of [
        made(usage, purposes, notCa, names),
        made(extension.keyUsage(0xa8), notCa, san),
        made(usage, san),
      ]) {
        assert.equal(verifySvid([chain[0]!.der], bundle, NOW).identity.toString(), ID);
      }
    });

    const signing = (...extensions: Buffer[]): MadeCertificate[] => {
      const issuer = makeCertificate({ issuer: root, subject: nameOf('between'), extensions });
      return [makeSvid(ID, issuer), issuer];
    };
    const caUsage = extension.keyUsage(0x06);
    const signingCases: [rule: string, title: string, chain: MadeCertificate[], reason: RegExp][] = [
      ['XS-1', 'no CA flag', signing(caUsage, extension.notCa()), /CA flag/],
      ['XS-1', 'no basic constraints', signing(caUsage), /CA flag/],
      ['XS-1', 'no keyCertSign', signing(extension.keyUsage(0x02), extension.ca()), /keyCertSign/],
      ['XS-1', 'no key usage', signing(extension.ca()), /no key usage/],
      [
        'XS-1',
        'a key usage that is not critical',
        signing(extension.keyUsage(0x06, false), extension.ca()),
        /not critical/,
      ],
      ['XS-3', 'the SPIFFE ID of a workload', signing(caUsage, extension.ca(), extension.uris(ID)), /has a path/],
      [
        'XS-6',
        'a purpose that leaves TLS out',
        signing(caUsage, extension.ca(), extension.purposes('1.3.6.1.5.5.7.3.3')),
        /extended key usage/,
      ],
    ];
    for (const [rule, title, chain, reason] of signingCases) {
      it(`refuses a signing certificate with ${title} (${rule})`, () => rejects(chain, rule, reason));
    }

    it('accepts a signing certificate with the SPIFFE ID of its trust domain, and with any purpose', () => {
      const more = [extension.uris('spiffe://cluster.local'), extension.purposes(OID.anyExtendedKeyUsage)];
      const chain = signing(caUsage, extension.ca(), ...more);
      verifySvid(
        chain.map((one) => one.der),
        bundle,
        NOW,
      );
    });

    it('refuses a CA that presents itself as a workload (XS-4)', () => rejects([root], 'XL-1', /no URI SAN/));

    it('judges by the bundle of its own trust domain and by no other (XV-3)', () => {
      const otherRoot = makeCa('other.example');
      const other = bundleOf('other.example', otherRoot, root);
      rejects([leaf], 'XV-3', /cluster\.local.*other\.example/, { by: other });
      rejects([makeSvid('spiffe://other.example/x', root)], 'XV-3', /other\.example/);
      rejects([makeSvid('spiffe://other.example/x', root)], 'RFC5280-6.1', /unknown authority/, {
        by: bundleOf('other.example', otherRoot),
      });
      const bundles = new Map([bundle, other].map((one) => [one.trustDomain, one]));
      const known = (trustDomain: TrustBundle['trustDomain']): TrustBundle | undefined => bundles.get(trustDomain);
      assert.ok(verifySvid([leaf.der], known, NOW));
      rejects([makeSvid('spiffe://third.example/x', root)], 'XV-3', /third\.example.*there is none/, { by: known });
      rejects([leaf], 'RFC5280-6.1', /unknown authority/, { by: bundleOf('cluster.local') });
    });
  });

  describe('by the rules of RFC 5280', () => {
    const between = (more: CertificateOrder & { pathLength?: number }, name = 'between'): MadeCertificate =>
      makeCa(name, { issuer: root, ...more });

    it('refuses a signature that another key made, or that one bit makes wrong', () => {
      const impostor = makeCa('cluster.local');
      rejects([makeSvid(ID, impostor)], 'RFC5280-6.1.3', /does not verify/);
      const broken = Buffer.from(leaf.der);
      broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
      rejects([{ ...leaf, der: broken }], 'RFC5280-6.1.3', /does not verify/);
    });

    it('refuses what has expired and what is not yet valid, at every place of the path, with both times', () => {
      rejects([leaf], 'RFC5280-4.1.2.5', /expired \(2027-01-01T00:00:00.000Z, now 2027-01-01T00:00:01.000Z\)/, {
        now: MADE_UNTIL + 1_000,
      });
      rejects([leaf], 'RFC5280-4.1.2.5', /not yet valid/, { now: Date.parse('2025-12-31T23:59:59.900Z') });
      const stale = between({ notAfter: NOW - 1_000 });
      rejects([makeSvid(ID, stale), stale], 'RFC5280-4.1.2.5', /expired/);
      const staleRoot = makeCa('stale', { notAfter: NOW - 1_000 });
      rejects([makeSvid(ID, staleRoot)], 'RFC5280-4.1.2.5', /expired/, { by: bundleOf('cluster.local', staleRoot) });
    });

    it('refuses a path that is longer than a CA in it allows', () => {
      const none = between({ pathLength: 0 });
      verifySvid([makeSvid(ID, none).der, none.der], bundle, NOW);
      const below = makeCa('below', { issuer: none });
      rejects([makeSvid(ID, below), below, none], 'RFC5280-4.2.1.9', /longer than it allows/);
      const strictRoot = makeCa('strict', { pathLength: 0 });
      const under = makeCa('under', { issuer: strictRoot });
      rejects([makeSvid(ID, under), under], 'RFC5280-4.2.1.9', /longer/, { by: bundleOf('cluster.local', strictRoot) });
    });

    it('refuses an authority key identifier that names another key of the issuer', () => {
      const extensions = [...svidExtensions(ID), extension.authorityKey(spkiOf(ecKeys().publicKey))];
      rejects([makeSvid(ID, root, { extensions })], 'RFC5280-4.2.1.1', /another key/);
    });

    it('refuses a critical extension that it does not know, wherever it stands', () => {
      const unknown = extension.raw('1.3.6.1.4.1.55738.666', Buffer.of(5, 0), true);
      rejects([makeSvid(ID, root, { extensions: [...svidExtensions(ID), unknown] })], 'RFC5280-4.2', /not known/);
      const ca = between({ extensions: [extension.keyUsage(0x06), extension.ca(), unknown] });
      rejects([makeSvid(ID, ca), ca], 'RFC5280-4.2', /not known/);
      const odd = makeCa('odd', { extensions: [extension.keyUsage(0x06), extension.ca(), unknown] });
      rejects([makeSvid(ID, odd)], 'RFC5280-4.2', /not known/, { by: bundleOf('cluster.local', odd) });
    });

    it('refuses a root in the bundle that is no CA', () => {
      const odd = makeCa('odd', { extensions: [extension.keyUsage(0x80), extension.notCa()] });
      rejects([makeSvid(ID, odd)], 'XS-1', /CA flag/, { by: bundleOf('cluster.local', odd) });
    });

    it('keeps to URI name constraints', () => {
      const constrained = (permitted: boolean, host: string): MadeCertificate[] => {
        const subtree = der.sequence(der.implicit(6, Buffer.from(host)));
        const constraints = extension.raw(
          OID.nameConstraints,
          der.sequence(der.context(permitted ? 0 : 1, subtree)),
          true,
        );
        const ca = between({ extensions: [extension.keyUsage(0x06), extension.ca(), constraints] });
        return [makeSvid(ID, ca), ca];
      };
      const accepted = (chain: MadeCertificate[]): unknown =>
        verifySvid(
          chain.map((one) => one.der),
          bundle,
          NOW,
        );
      accepted(constrained(true, 'cluster.local'));
      accepted(constrained(true, '.local'));
      accepted(constrained(false, 'other.local'));
      accepted(constrained(false, '.cluster.local'));
      rejects(constrained(true, 'other.local'), 'RFC5280-4.2.1.10', /not permitted/);
      rejects(constrained(true, '.cluster.local'), 'RFC5280-4.2.1.10', /not permitted/);
      rejects(constrained(false, 'cluster.local'), 'RFC5280-4.2.1.10', /excluded/);
      rejects(constrained(false, '.local'), 'RFC5280-4.2.1.10', /excluded/);
    });

    it('refuses an empty chain, one that is too long, and one with something malformed in it', () => {
      rejects([], 'XV-1', /empty/);
      rejects(
        Array.from({ length: 11 }, () => leaf),
        'RFC5280-6.1',
        /more than 10/,
      );
      rejects([leaf, { ...leaf, der: Buffer.of(0x30, 0) }], 'XV-1', /certificate 1 of the chain is malformed/);
    });

    it('does bounded work on a chain made to be tried in every order', () => {
      const keys = Array.from({ length: 9 }, ecKeys);
      const same = keys.map((pair, index) =>
        makeCa('same', {
          keys: pair,
          issuer: { ...root, privateKey: keys[(index + 1) % 9]!.privateKey, subject: nameOf('same') },
          extensions: [extension.keyUsage(0x06), extension.ca()],
        }),
      );
      const chain = [makeSvid(ID, same[0]!), ...same];
      const start = process.hrtime.bigint();
      failureOf(
        () =>
          verifySvid(
            chain.map((one) => one.der),
            bundle,
            NOW,
          ),
        'svid_invalid',
      );
      const milliseconds = Number(process.hrtime.bigint() - start) / 1e6;
      assert.ok(milliseconds < 500, `${milliseconds} ms`);
    });
  });

  it('fails with nothing but our own error, however a chain is changed', () => {
    const between = makeCa('between', { issuer: root });
    const under = makeSvid(ID, between);
    fc.assert(
      fc.property(mutationsOf(under.der), mutationsOf(between.der), fc.boolean(), (first, second, onlyFirst) => {
        try {
          verifySvid([first, onlyFirst ? between.der : second], bundle, NOW);
          assert.deepEqual([first, onlyFirst], [under.der, true], 'a changed certificate was accepted');
        } catch (error) {
          assert.ok(error instanceof SealwrightError && error.code === 'svid_invalid', String(error));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

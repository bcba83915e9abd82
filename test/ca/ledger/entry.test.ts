import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { decodeLine, encodeEntry, lineOf } from '../../../ca/ledger/entry-codec.ts';
import { cleanText } from '../../../src/core/clean-text.ts';
import type { LedgerEntry } from '../../../ca/ledger/entry.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { CATALOG } from './sample-entries.ts';

const hex = (min: number, max = min): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: min, maxLength: max }).map((bytes) => Buffer.from(bytes).toString('hex'));
const instant = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const second = fc.nat({ max: 253_402_300_799 }).map((seconds) => seconds * 1000);
const identity = fc
  .stringMatching(/^[a-z][a-z0-9-]{0,20}$/)
  .map((name) => SpiffeId.parse(`spiffe://cluster.local/ns/shop/sa/${name}`));
/** Texts that are clean already, so that they come back as they went in. */
const text = fc.string({ unit: 'grapheme', maxLength: 200 }).map((value) => cleanText(value, 256));
const code = fc.stringMatching(/^[a-z][a-z0-9_]{0,63}$/);

const entries: fc.Arbitrary<LedgerEntry> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('issuance' as const),
      serial: hex(1, 20),
      identity,
      certificate: fc.uint8Array({ maxLength: 700 }).map((bytes) => Buffer.from(bytes)),
      issuerKeyId: hex(20),
      notBefore: second,
      notAfter: second,
      caller: fc.record(
        {
          identity,
          method: fc.constantFrom('token-review', 'jwks', 'svid', 'operator', 'self'),
          credential: text,
          tokenAuthenticatedAt: instant,
          pod: fc.record({ name: text, uid: text }, { noNullPrototype: true }),
          serviceAccountUid: text,
          node: text,
        },
        { requiredKeys: ['identity', 'method', 'credential', 'tokenAuthenticatedAt'], noNullPrototype: true },
      ),
      csrSha256: hex(32),
      spkiSha256: hex(32),
      serverNames: fc.array(fc.constantFrom('DNS:localhost', 'IP:127.0.0.1'), { maxLength: 4 }),
      requestedTtl: instant,
    },
    {
      requiredKeys: [
        'kind',
        'serial',
        'identity',
        'certificate',
        'issuerKeyId',
        'notBefore',
        'notAfter',
        'caller',
        'csrSha256',
        'spkiSha256',
      ],
      noNullPrototype: true,
    },
  ),
  fc.record(
    { kind: fc.constant('refusal' as const), identity, reason: code, detail: text, csrSha256: hex(32) },
    { requiredKeys: ['kind', 'identity', 'reason', 'detail'], noNullPrototype: true },
  ),
  fc.record(
    {
      kind: fc.constant('refusal-summary' as const),
      from: instant,
      to: instant,
      counts: fc.dictionary(code, instant, { maxKeys: 10, noNullPrototype: true }),
      callers: instant,
    },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      kind: fc.constant('root' as const),
      fingerprint: hex(32),
      action: fc.constantFrom('made' as const, 'loaded' as const),
    },
    { noNullPrototype: true },
  ),
  fc.record(
    { kind: fc.constant('operator-act' as const), actor: text, operation: text, detail: text },
    { noNullPrototype: true },
  ),
  fc.record(
    { kind: fc.constant('operator-refusal' as const), actor: text, operation: text, reason: code, detail: text },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      kind: fc.constant('token-minted' as const),
      identity,
      audiences: fc.array(text, { maxLength: 16 }),
      expiresAt: instant,
      tokenId: text,
      actor: text,
    },
    { noNullPrototype: true },
  ),
);

const invalid = (error: unknown): boolean => error instanceof SealwrightError && error.code === 'ledger_entry_invalid';

describe('the written form of a ledger entry', () => {
  it('comes back as it was, and is the only one that is read', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(entries, instant, instant, (entry, index, time) => {
        kinds.add(entry.kind);
        const line = lineOf(encodeEntry(entry), index, time);
        assert.deepEqual(decodeLine(line), { index, time, entry });
        assert.ok(!line.includes('\n'));
        assert.ok(line.isWellFormed());
        // The same thing said differently has another hash, so it is refused. The version is what the line ends with: a
        // summary may count `v` too.
        assert.throws(() => decodeLine(` ${line}`), invalid);
        assert.throws(() => decodeLine(line.replace(/"v":2\}$/, '"v":2.0}')), invalid);
        assert.throws(() => decodeLine(line.replace(/"v":2\}$/, '"v":2,"v":2}')), invalid);
        assert.throws(() => decodeLine(line.replace(/"v":2\}$/, '"v":0}')), invalid);
        assert.throws(() => decodeLine(line.replace(/"v":2\}$/, '"v":3}')), invalid);
        assert.throws(() => decodeLine(line.replace(/"v":2\}$/, '"v":2,"w":1}')), invalid);
        assert.throws(() => decodeLine(line.replace('{"entry":{', '{"entry":{"a":1,')), invalid);
        assert.throws(() => decodeLine(line.replace('"kind":"', '"kind":"\\u0072')), invalid);
      }),
    );
    assert.equal(kinds.size, 7);
  });

  it('stays readable in its first version, which holds nothing that came later', () => {
    const caller =
      '"caller":{"credential":"jti:1","identity":"spiffe://cluster.local/ns/shop/sa/catalog","method":"token-review","pod":{"name":"catalog-1","uid":"u"},"tokenAuthenticatedAt":5}';
    const issuance = `{"entry":{${caller},"certificate":"","identity":"spiffe://cluster.local/ns/shop/sa/catalog","issuerKeyId":"ab","kind":"issuance","notAfter":2000,"notBefore":1000,"serial":"0a","spkiSha256":"${'cd'.repeat(32)}"},"index":0,"time":0,"v":1}`;
    const { entry } = decodeLine(issuance);
    assert.ok(entry.kind === 'issuance');
    assert.deepEqual([entry.caller.pod?.uid, entry.caller.node], ['u', undefined]);
    const later = issuance.replace('"pod"', '"node":"n","pod"');
    assert.throws(() => decodeLine(later), invalid);
    assert.doesNotThrow(() => decodeLine(later.replace('"v":1}', '"v":2}')));
    const refused =
      '{"entry":{"actor":"a","detail":"d","kind":"operator-refusal","operation":"o","reason":"r"},"index":0,"time":0,"v":2}';
    assert.doesNotThrow(() => decodeLine(refused));
    assert.throws(() => decodeLine(refused.replace('"v":2}', '"v":1}')), invalid);
  });

  it('is written with keys in order, whatever the order they came in', () => {
    const entry: LedgerEntry = { detail: 'd', operation: 'o', kind: 'operator-act', actor: 'a' };
    assert.equal(
      lineOf(encodeEntry(entry), 7, 9),
      '{"entry":{"actor":"a","detail":"d","kind":"operator-act","operation":"o"},"index":7,"time":9,"v":2}',
    );
  });

  it('is not read with its keys in another order, with a field missing, or with a number that is no whole one', () => {
    const lines = [
      '{"entry":{"kind":"root","action":"made","fingerprint":"FP"},"index":0,"time":0,"v":2}',
      '{"index":0,"entry":{"action":"made","fingerprint":"FP","kind":"root"},"time":0,"v":2}',
      '{"entry":{"action":"made","kind":"root"},"index":0,"time":0,"v":2}',
      '{"entry":{"action":"made","fingerprint":"FP","kind":"root"},"index":-0,"time":0,"v":2}',
      '{"entry":{"action":"made","fingerprint":"FP","kind":"root"},"index":0.5,"time":0,"v":2}',
      '{"entry":{"action":"made","fingerprint":"FP","kind":"root"},"index":9007199254740992,"time":0,"v":2}',
      '{"entry":{"action":"unmade","fingerprint":"FP","kind":"root"},"index":0,"time":0,"v":2}',
      '{"entry":{"action":"made","fingerprint":"FP","kind":"__proto__"},"index":0,"time":0,"v":2}',
      '[]',
      'null',
      '',
    ].map((line) => line.replace('FP', 'ab'.repeat(32)));
    for (const line of lines) assert.throws(() => decodeLine(line), invalid, line);
  });

  it('never holds a key or a token, wherever a text with one came from (invariant 2)', () => {
    const pem = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----';
    const jwt = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl';
    for (const secret of [pem, jwt, pem.slice(0, 40), jwt.slice(0, 25)]) {
      const texts: LedgerEntry[] = [
        { kind: 'refusal', identity: CATALOG, reason: 'x', detail: `before ${secret} after` },
        { kind: 'operator-act', actor: secret, operation: secret, detail: secret },
        { kind: 'token-minted', identity: CATALOG, audiences: [secret], expiresAt: 1, tokenId: secret, actor: secret },
      ];
      for (const entry of texts) {
        const line = lineOf(encodeEntry(entry), 0, 0);
        assert.doesNotMatch(line, /BEGIN|MIGH|eyJ|c2lnbm/);
        assert.match(line, /\[redacted\]/);
        assert.doesNotThrow(() => decodeLine(line));
      }
    }
    const smuggled = `{"entry":{"actor":"a","detail":"${jwt}","kind":"operator-act","operation":"o"},"index":0,"time":0,"v":2}`;
    assert.throws(() => decodeLine(smuggled), invalid);
  });

  it('is bounded, and whatever text a peer sent, the entry can be written', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 3_000 }),
      fc
        .array(fc.constantFrom('\ud800', 'eyJ', 'abcdefgh', '.', '-----BEGIN', '-----END', 'x'), { maxLength: 400 })
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(anything, (detail) => {
        const line = lineOf(encodeEntry({ kind: 'refusal', identity: CATALOG, reason: 'x', detail }), 0, 0);
        assert.ok(line.length < 8_192);
        decodeLine(line);
      }),
    );
    encodeEntry({ kind: 'refusal', identity: CATALOG, reason: 'x', detail: '-----BEGIN'.repeat(1_000_000) });
  });

  it('refuses what only a bug could hand it', () => {
    const root: LedgerEntry = { kind: 'root', fingerprint: 'ab'.repeat(32), action: 'made' };
    const bad: LedgerEntry[] = [
      { ...root, fingerprint: 'AB'.repeat(32) },
      { ...root, fingerprint: '' },
      { kind: 'refusal-summary', from: 0.5, to: 1, counts: {}, callers: 0 },
      { kind: 'refusal-summary', from: 0, to: 1, counts: { 'Not A Code': 1 }, callers: 0 },
      { kind: 'refusal-summary', from: 0, to: 1, counts: { 7: 1 }, callers: 0 },
      { kind: 'refusal-summary', from: 0, to: Number.NaN, counts: {}, callers: 0 },
    ];
    for (const entry of bad) assert.throws(() => encodeEntry(entry), invalid);
  });
});

import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import type { Caller } from '../../../ca/authenticators/authenticator.ts';
import { createIssuer } from '../../../ca/issuance/issuer.ts';
import { Issuance, type Issued } from '../../../ca/issuance/issuance.ts';
import { RefusalLedger } from '../../../ca/issuance/refusal-ledger.ts';
import type { LedgerEntry } from '../../../ca/ledger/entry.ts';
import { caMaterial } from '../../../ca/roots/ca-material.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import { decodeSinglePem } from '../../../src/pki/pem.ts';
import { makeCa, MADE_AT, MADE_UNTIL } from '../../fakes/certificate-maker.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { makeCsrPem } from '../../fakes/csr-maker.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

const identity = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog');
const caller: Caller = { identity, method: 'jwks', tokenAuthenticatedAt: MADE_AT, credential: 'jti:1' };

/** An issuance whose ledger does what the test says with each entry. */
function issuing(append: (entry: LedgerEntry) => Promise<{ index: number }>): {
  issue: (csr?: string, by?: Partial<Caller>) => Promise<Issued>;
  logger: RecordingLogger;
  clock: FakeClock;
} {
  const root = makeCa('cluster.local');
  const material = caMaterial({
    trustDomain: parseTrustDomain('cluster.local'),
    certificate: root.der,
    privateKey: root.privateKey,
    chain: [],
    roots: [root.der],
    selfSigned: true,
    notAfter: MADE_UNTIL,
  });
  const issuer = createIssuer(material);
  const logger = new RecordingLogger();
  const clock = new FakeClock(MADE_AT + 3_600_000);
  const issuance = new Issuance({
    issuer: () => issuer,
    ledger: { append },
    refusals: new RefusalLedger({ append, countOnly: () => undefined, clock, logger }),
    lifetimes: { default: 86_400_000, max: 864_000_000 },
    tokenMaxAge: 7 * 86_400_000,
    clock,
    randomBytes,
    logger,
  });
  return {
    issue: (csr = makeCsrPem(), by = {}) =>
      issuance.issue({ caller: { ...caller, ...by }, identity, csr, requestedTtl: 0 }),
    logger,
    clock,
  };
}

const failsWith = (code: ErrorCode) => (error: unknown) => error instanceof SealwrightError && error.code === code;

describe('issuance', () => {
  it('answers only once the ledger has the certificate (invariant 3)', async () => {
    const { promise: durable, resolve } = Promise.withResolvers<{ index: number }>();
    const appended = Promise.withResolvers<LedgerEntry>();
    const { issue } = issuing((entry) => {
      appended.resolve(entry);
      return durable;
    });
    let answered = false;
    const answer = issue().then((issued) => {
      answered = true;
      return issued;
    });
    const entry = await appended.promise;
    await new Promise(setImmediate);
    assert.equal(answered, false);
    resolve({ index: 7 });
    const issued = await answer;
    assert.equal(issued.index, 7);
    assert.ok(entry.kind === 'issuance' && entry.serial === issued.serial);
    assert.deepEqual(decodeSinglePem(issued.chain[0] ?? '', 'CERTIFICATE'), entry.certificate);
  });

  it('answers nothing where the ledger could not be written, and does not ledger that failure (invariant 3)', async () => {
    const seen: string[] = [];
    const { issue } = issuing(async (entry) => {
      seen.push(entry.kind);
      throw new SealwrightError('ledger_unwritable', { reason: 'disk is full' });
    });
    await assert.rejects(issue(), failsWith('ledger_unwritable'));
    assert.deepEqual(seen, ['issuance']);
  });

  it('draws another serial where one is taken, tells somebody, and gives up in the end (invariant 3)', async () => {
    const serials: string[] = [];
    const taken = issuing(async (entry) => {
      if (entry.kind === 'issuance') serials.push(entry.serial);
      if (serials.length < 3) throw new SealwrightError('ledger_serial_taken', {});
      return { index: 0 };
    });
    const issued = await taken.issue();
    assert.equal(new Set(serials).size, 3);
    assert.equal(issued.serial, serials[2]);
    assert.equal(taken.logger.lines.filter((line) => line.level === 'error').length, 2);
    const never = issuing(async () => {
      throw new SealwrightError('ledger_serial_taken', {});
    });
    await assert.rejects(never.issue(), failsWith('ledger_serial_taken'));
  });

  it('ledgers a refusal under the caller, and still refuses where that cannot be ledgered', async () => {
    const entries: LedgerEntry[] = [];
    const { issue } = issuing(async (entry) => ({ index: entries.push(entry) }));
    await assert.rejects(issue('garbage'), failsWith('pem_invalid'));
    const [entry] = entries;
    assert.ok(entry?.kind === 'refusal' && entry.identity.equals(identity) && entry.reason === 'pem_invalid');
    const broken = issuing(async () => {
      throw new SealwrightError('ledger_unwritable', {});
    });
    await assert.rejects(broken.issue('garbage'), failsWith('pem_invalid'));
    assert.match(broken.logger.text, /a refusal could not be ledgered/);
  });

  it('lets no certificate that was renewed by certificate outlive the proof by token', async () => {
    const DAY = 86_400_000;
    const { issue, clock } = issuing(async () => ({ index: 0 }));
    const now = clock.now();
    // The last second counts (RFC 5280 4.1.2.5).
    const until = async (issued: Promise<Issued>): Promise<number> => (await issued).notAfter + 1_000 - now;
    const renewedAfter = (age: number): Promise<Issued> =>
      issue(makeCsrPem(), { method: 'svid', tokenAuthenticatedAt: now - age });
    assert.equal(await until(renewedAfter(DAY)), DAY, 'six days are left, the default is one');
    assert.equal(await until(renewedAfter(7 * DAY - 3_600_000)), 3_600_000);
    assert.equal(await until(renewedAfter(7 * DAY - 10_000)), 10_000);
    for (const age of [7 * DAY - 9_999, 7 * DAY, 8 * DAY, Number.NaN]) {
      await assert.rejects(renewedAfter(age), failsWith('renewal_too_old'), String(age));
    }
    assert.equal(await until(issue(makeCsrPem(), { tokenAuthenticatedAt: now - 30 * DAY })), DAY);
  });

  it('issues nothing under a CA that has expired', async () => {
    const { issue, clock } = issuing(async () => ({ index: 0 }));
    clock.advance(MADE_UNTIL - clock.now() - 60_000);
    const { chain } = await issue();
    assert.ok(parseCertificate(decodeSinglePem(chain[0] ?? '', 'CERTIFICATE')).notAfter <= MADE_UNTIL);
    clock.advance(120_000);
    await assert.rejects(issue(), failsWith('validity_impossible'));
  });
});

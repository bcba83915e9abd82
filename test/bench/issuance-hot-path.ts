import { randomBytes } from 'node:crypto';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { checkIssued, opensslNames } from '../../src/pki/check-issued.ts';
import { parseCsr } from '../../src/pki/csr.ts';
import { createIssuerTemplate } from '../../src/pki/issuer-template.ts';
import { lintTbs } from '../../src/pki/lint.ts';
import { encodePem } from '../../src/pki/pem.ts';
import { assembleCertificate, buildLeafTbs } from '../../src/pki/profile.ts';
import { newSerial } from '../../src/pki/serial.ts';
import { createKeySigner } from '../../src/pki/signer.ts';
import { validityFor } from '../../src/pki/validity.ts';
import { verifySvid } from '../../src/pki/verify-svid.ts';
import { extension, makeCa } from '../fakes/certificate-maker.ts';
import { makeCsrPem } from '../fakes/csr-maker.ts';
import { bareCryptographyOfOneIssuance } from './issuance-crypto.ts';

/** The steps of one issuance that are `pki`'s: from the text of the CSR to the text of the checked certificate. */
const STEPS = ['parse', 'verify', 'build', 'lint', 'sign', 'check', 'encode'] as const;

function measureSteps(rounds: number): Record<(typeof STEPS)[number], number> {
  const now = Date.parse('2026-06-01T12:00:00Z');
  const identity = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog');
  const root = makeCa('cluster.local');
  const signer = createKeySigner(root.privateKey);
  const issuer = createIssuerTemplate(root.der, signer);
  const csrPem = makeCsrPem({ extensions: [extension.uris(identity.toString())] });
  const spent = { parse: 0, verify: 0, build: 0, lint: 0, sign: 0, check: 0, encode: 0 };
  let last = process.hrtime.bigint();
  const mark = (step: (typeof STEPS)[number]): void => {
    const time = process.hrtime.bigint();
    spent[step] += Number(time - last) / 1_000 / rounds;
    last = time;
  };
  for (let round = 0; round < rounds; round += 1) {
    last = process.hrtime.bigint();
    const csr = parseCsr(csrPem);
    mark('parse');
    csr.verifySignature();
    mark('verify');
    const validity = validityFor({ now, lifetime: 86_400_000, issuer });
    const serial = newSerial(randomBytes);
    const request = { ...validity, identity, issuer, serial, spki: csr.spki, keyAlgorithm: csr.key.algorithm };
    const tbs = buildLeafTbs(request);
    mark('build');
    if (lintTbs(tbs, request).length > 0) throw new Error('the lint found something');
    mark('lint');
    const certificate = assembleCertificate(tbs, issuer.signatureAlgorithm, signer.sign(tbs));
    mark('sign');
    const subjectAltName = opensslNames({ identity });
    checkIssued(certificate, { ...request, subjectAltName, publicKey: csr.key.keyObject, issuerKey: root.publicKey });
    mark('check');
    encodePem('CERTIFICATE', certificate);
    mark('encode');
  }
  return spent;
}

function verifyOneSvid(): () => void {
  const now = Date.parse('2026-06-01T12:00:00Z');
  const identity = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog');
  const root = makeCa('cluster.local');
  const signer = createKeySigner(root.privateKey);
  const issuer = createIssuerTemplate(root.der, signer);
  const csr = parseCsr(makeCsrPem());
  const validity = validityFor({ now, lifetime: 86_400_000, issuer });
  const request = { ...validity, identity, issuer, serial: newSerial(randomBytes), spki: csr.spki };
  const tbs = buildLeafTbs({ ...request, keyAlgorithm: csr.key.algorithm });
  const chain = [assembleCertificate(tbs, issuer.signatureAlgorithm, signer.sign(tbs))];
  const bundle = { trustDomain: identity.trustDomain, roots: [root.der] };
  return () => void verifySvid(chain, bundle, now);
}

/** Microseconds of CPU, user and system, that one call takes on average. */
function cpuOf(operation: () => void, rounds: number): number {
  for (let round = 0; round < rounds / 4; round += 1) operation();
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round += 1) operation();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / rounds;
}

if (import.meta.main) {
  const rounds = 8_000;
  measureSteps(rounds / 4);
  const before = process.cpuUsage();
  const steps = measureSteps(rounds);
  const { user, system } = process.cpuUsage(before);
  const floor = cpuOf(bareCryptographyOfOneIssuance(), rounds);
  for (const step of STEPS) console.log(`${step.padEnd(8)} ${steps[step].toFixed(1).padStart(7)} us`);
  console.log(`one issuance, CPU              ${((user + system) / rounds).toFixed(1)} us`);
  console.log(
    `bare cryptography, CPU         ${floor.toFixed(1)} us (with the RS256 token that the first figure is without)`,
  );
  console.log(`verification of one SVID, CPU  ${cpuOf(verifyOneSvid(), rounds).toFixed(1)} us`);
}

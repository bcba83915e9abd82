import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';

/**
 * The floor of an issuance: the cryptography that no certificate authority can leave out, and nothing else. Imports
 * the key of a CSR, verifies the CSR's signature and the caller's RS256 token, signs a certificate with P-256.
 * What an issuance costs above this is our own doing.
 *
 * @returns The operation to be measured; keys and inputs are made beforehand.
 */
export function bareCryptographyOfOneIssuance(): () => void {
  const workload = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const tokenIssuer = generateKeyPairSync('rsa', { modulusLength: 2048 });
  // As long as the real ones: a CSR's info, a bound service account token, a leaf's to-be-signed part.
  const [csr, token, tbs] = [Buffer.alloc(160, 1), Buffer.alloc(900, 2), Buffer.alloc(380, 3)];
  const spki = workload.publicKey.export({ type: 'spki', format: 'der' });
  const csrSignature = sign('sha256', csr, workload.privateKey);
  const tokenSignature = sign('sha256', token, tokenIssuer.privateKey);
  return () => {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    const genuine = verify('sha256', csr, key, csrSignature);
    const authenticated = verify('sha256', token, tokenIssuer.publicKey, tokenSignature);
    const signature = sign('sha256', tbs, authority.privateKey);
    if (!genuine || !authenticated || signature.length < 64) throw new Error('the cryptography went wrong');
  };
}

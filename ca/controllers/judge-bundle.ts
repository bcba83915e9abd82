import { createHash, X509Certificate } from 'node:crypto';

/**
 * What stands where our roots should: `ours` to the letter; `differs` where nobody loses a root when it is written
 * again; `foreign` where it holds roots that we do not know, by which somebody may trust others than us.
 */
export type BundleJudgement =
  | { readonly kind: 'ours' | 'differs' }
  | {
      readonly kind: 'foreign';
      /** SHA-256 of the roots that we do not know, in hex. */
      readonly unknown: readonly string[];
    };

export interface OurRoots {
  /** The bundle as it is published: PEM. */
  readonly pem: string;
  /** DER of each of our roots. */
  readonly roots: readonly Buffer[];
}

/** Judges a published text. One without a single certificate is nobody's bundle: damage, and put right. */
export function judgeBundle(text: string | undefined, { pem, roots }: OurRoots): BundleJudgement {
  if (text === pem) return { kind: 'ours' };
  const unknown = certificatesIn(text ?? '').filter((der) => !roots.some((root) => root.equals(der)));
  if (unknown.length === 0) return { kind: 'differs' };
  return { kind: 'foreign', unknown: unknown.map((der) => createHash('sha256').update(der).digest('hex')) };
}

const BEGIN = /-----BEGIN [A-Z0-9 ]{0,40}CERTIFICATE-----/;
const END = '-----END';

/**
 * Every certificate that some reader could find in a text, as DER. More lenient than what we would trust by ourselves:
 * what is overseen here would be overwritten. A block that never ends does not hide the one behind it, as in Go's reader.
 */
function certificatesIn(text: string): Buffer[] {
  const [, ...blocks] = text.split(BEGIN);
  return blocks.flatMap((block) => {
    const [body = ''] = block.split(END);
    // Lines of a block's head, which RFC 1421 allows.
    const base64 = body.replaceAll(/^.*:.*$/gm, '');
    try {
      return [new X509Certificate(Buffer.from(base64, 'base64')).raw];
    } catch {
      // Nobody can trust by what is no certificate.
      return [];
    }
  });
}

import { encodePem } from '../../src/pki/pem.ts';
import { ROOT_SECRET } from '../../src/wire/control-types.ts';
import { SECRET } from '../../src/wire/message-type.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import { versioned } from './versioned.ts';

/** The roots (each as DER) as Envoy's Secret `ROOTCA`: one validation context with all of them as PEM. */
export function trustBundleResource(roots: readonly Buffer[]): XdsResource {
  const pem = roots.map((root) => encodePem('CERTIFICATE', root)).join('');
  const body = SECRET.encode({
    name: ROOT_SECRET,
    type: {
      case: 'validationContext',
      value: { trustedCa: { specifier: { case: 'inlineBytes', value: Buffer.from(pem) } } },
    },
  });
  return versioned({ name: ROOT_SECRET, aliases: [], body });
}

import type { SidecarConfigSource } from './agent/sidecar-config.ts';
import type { IdentityMaterial, IdentitySource } from './agent/identity-source.ts';

/** Key and certificate as they are held; `IdentityKeeper` of the workload room is one. */
export interface CertificateSource {
  current(): HeldCertificate | undefined;
  onChange(listener: () => void): () => void;
}

export interface HeldCertificate {
  readonly identity: { toString(): string };
  readonly keyPem: string;
  readonly chainPem: string;
  readonly serial: string;
}

/** What the sidecar presents, from the workload's certificate, and trusts, from the configuration in force. */
export function createMeshIdentity(certificates: CertificateSource, config: SidecarConfigSource): IdentitySource {
  let made:
    { readonly held: HeldCertificate; readonly rootsPem: string; readonly material: IdentityMaterial } | undefined;
  let version = 0;
  return {
    current: () => {
      const held = certificates.current();
      const rootsPem = config.current()?.rootsPem;
      if (held === undefined || rootsPem === undefined) return undefined;
      if (made?.held !== held || made.rootsPem !== rootsPem) {
        version += 1;
        const { identity, keyPem, chainPem } = held;
        const material = { identity: identity.toString(), keyPem, chainPem, rootsPem, version: `${version}` };
        made = { held, rootsPem, material: Object.freeze(material) };
      }
      return made.material;
    },
    onChange: (listener) => {
      let roots = config.current()?.rootsPem;
      const stops = [
        certificates.onChange(listener),
        config.onChange((next) => {
          if (next.rootsPem === roots) return;
          roots = next.rootsPem;
          listener();
        }),
      ];
      return () => stops.forEach((stop) => stop());
    },
  };
}

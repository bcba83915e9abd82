import { connect } from 'node:tls';
import type { OwnCertificate } from './issue-certificate.ts';
import type { Member } from './mesh.ts';

/** The certificate that a sidecar shows at this moment to whoever connects. */
export interface ShownCertificate {
  /** Lower-case hexadecimal. */
  readonly serial: string;
  /** The names in it, as OpenSSL prints them. */
  readonly names: string;
  /** Wall milliseconds. */
  readonly notAfter: number;
}

/** Milliseconds for a handshake. */
const PATIENCE = 5_000;

/** Looks at a sidecar's certificate as anybody in the mesh can: by a handshake, with a certificate of one's own. */
export function shownCertificate({ address, service }: Member, own: OwnCertificate): Promise<ShownCertificate> {
  return new Promise((resolve, reject) => {
    const { port } = service;
    // What it shows is what is wanted here, whatever it is.
    const socket = connect({ host: address, port, ...own, rejectUnauthorized: false, ALPNProtocols: ['istio'] });
    socket.setTimeout(PATIENCE, () => socket.destroy(new Error('no handshake')));
    socket.on('error', reject);
    socket.once('secureConnect', () => {
      const { serialNumber, subjectaltname = '', valid_to } = socket.getPeerCertificate();
      socket.destroy();
      const serial = serialNumber.toLowerCase().replace(/^0+(?=.)/, '');
      resolve({ serial, names: subjectaltname, notAfter: Date.parse(valid_to) });
    });
  });
}

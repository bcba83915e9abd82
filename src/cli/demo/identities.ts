import { readAnswer } from '../answer.ts';
import { shownCertificate } from './certificates.ts';
import type { Mesh } from './mesh.ts';

/** An identity that the CA issued, and whether the sidecar shows the certificate that is in the ledger. */
export interface IssuedIdentity {
  readonly workload: string;
  readonly address: string;
  readonly identity: string;
  /** Wall milliseconds. */
  readonly notAfter: number;
  readonly serial: string;
  readonly authenticatedBy: string;
  readonly shown: boolean;
}

/** What the CA's ledger says of each service, held against the certificate that its sidecar shows. */
export async function issuedIdentities({ processes, members, visitor }: Mesh): Promise<readonly IssuedIdentity[]> {
  return Promise.all(
    members.map(async (member): Promise<IssuedIdentity> => {
      const { workload, identity } = member.service;
      const [issued, shown] = await Promise.all([
        processes.operator.get('/v1/identities/show', { identity }).then(readAnswer),
        shownCertificate(member, visitor),
      ]);
      const serial = issued.text('serial');
      return {
        workload,
        address: member.address,
        identity: issued.text('identity'),
        notAfter: issued.wholeNumber('notAfter'),
        serial,
        authenticatedBy: issued.text('authenticatedBy'),
        shown: shown.serial === serial && shown.names === `URI:${identity}`,
      };
    }),
  );
}

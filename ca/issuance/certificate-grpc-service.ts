import { implementService, type BoundService } from '../../src/wire/grpc-service.ts';
import { clusterId } from '../../src/wire/server-call.ts';
import { IstioCertificateService, type IstioCertificateRequest } from '../../src/wire/services.ts';
import { Credentials, readBearer } from '../authenticators/credentials.ts';
import { createCertificate, messageForCaller, type CertificateServiceOptions } from './certificate-service.ts';

/** `istio.v1.auth.IstioCertificateService` on the wire. */
export function certificateGrpcService(options: CertificateServiceOptions): BoundService {
  return implementService(
    IstioCertificateService,
    {
      createCertificate: async (request, call) => {
        const { peer } = call;
        const credentials = new Credentials({
          bearer: readBearer(call.header('authorization')),
          peerChain: peer.chain,
          remoteAddress: peer.remoteAddress,
        });
        const certChain = await createCertificate(
          {
            credentials,
            csr: request.csr,
            validitySeconds: request.validityDuration,
            impersonatedIdentity: impersonatedIdentity(request),
            clusterId: clusterId(call),
          },
          options,
        );
        return { certChain: [...certChain] };
      },
    },
    { statusMessage: messageForCaller },
  );
}

/** The one key of the request's metadata that changes for whom it asks; a value of any other type is no identity. */
function impersonatedIdentity({ metadata }: IstioCertificateRequest): string {
  const value = metadata?.['ImpersonatedIdentity'];
  if (value === undefined) return '';
  return typeof value === 'string' ? value : 'not a text';
}

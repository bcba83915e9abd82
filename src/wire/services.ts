/** The services that rooms implement and call, with their messages; health, reflection and discovery have files of their own. */
export type { IstioCertificateRequest, IstioCertificateResponse } from './gen/istio/v1/auth/ca_pb.ts';
export { IstioCertificateService } from './gen/istio/v1/auth/ca_pb.ts';
export type { ReportRequest, ReportResponse } from './gen/sealwright/control/v1/control_pb.ts';
export { ReportService } from './gen/sealwright/control/v1/control_pb.ts';

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  AttributeContext_HttpRequestSchema,
  AttributeContext_PeerSchema,
  AttributeContextSchema,
} from './gen/envoy/service/auth/v3/attribute_context_pb.ts';
import type { CheckRequestSchema } from './gen/envoy/service/auth/v3/external_auth_pb.ts';

/** The services that rooms implement and call, with their messages; health, reflection and discovery have files of their own. */
export type { IstioCertificateRequest, IstioCertificateResponse } from './gen/istio/v1/auth/ca_pb.ts';
export { IstioCertificateService } from './gen/istio/v1/auth/ca_pb.ts';
export type { ReportRequest, ReportResponse } from './gen/sealwright/control/v1/control_pb.ts';
export { ReportService } from './gen/sealwright/control/v1/control_pb.ts';
export type { CheckResponse } from './gen/envoy/service/auth/v3/external_auth_pb.ts';
export { Authorization } from './gen/envoy/service/auth/v3/external_auth_pb.ts';
export type { HeaderValueOption } from './gen/envoy/config/core/v3/base_pb.ts';
export { HeaderValueOption_HeaderAppendAction as HeaderAppendAction } from './gen/envoy/config/core/v3/base_pb.ts';

/** What is filled in to ask an authorization server; protobuf's own fields may be left out. */
export type CheckRequestInit = Plain<MessageInitShape<typeof CheckRequestSchema>>;
export type AttributesInit = Plain<MessageInitShape<typeof AttributeContextSchema>>;
export type PeerInit = Plain<MessageInitShape<typeof AttributeContext_PeerSchema>>;
export type HttpRequestInit = Plain<MessageInitShape<typeof AttributeContext_HttpRequestSchema>>;
type Plain<T> = Exclude<T, { $typeName: string }>;

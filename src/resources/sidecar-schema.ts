import { anything, fields, integer, listOf, oneOf, optional, text, type Read } from '../config/field-schema.ts';
import { WORKLOAD_SELECTOR } from './service-entry.ts';

const UINT32 = { min: 0, max: 4_294_967_295 } as const;

const SIDECAR_PORT = fields({
  number: optional(integer(UINT32)),
  protocol: optional(text({ max: 256 })),
  name: optional(text({ max: 256 })),
  targetPort: optional(integer(UINT32)),
});

const CAPTURE = oneOf('DEFAULT', 'IPTABLES', 'NONE');

const SIDECAR_TLS = fields({
  mode: optional(oneOf('PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL')),
  serverCertificate: optional(text()),
  privateKey: optional(text()),
  caCertificates: optional(text()),
  minProtocolVersion: optional(oneOf('TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3')),
  maxProtocolVersion: optional(oneOf('TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3')),
  cipherSuites: optional(listOf(text(), { max: 64 })),
});

export const SIDECAR = fields({
  workloadSelector: optional(WORKLOAD_SELECTOR),
  ingress: optional(
    listOf(
      fields({
        port: SIDECAR_PORT,
        bind: optional(text({ max: 256 })),
        captureMode: optional(CAPTURE),
        defaultEndpoint: optional(text({ max: 256 })),
        tls: optional(SIDECAR_TLS),
        connectionPool: optional(anything()),
      }),
      { max: 1024 },
    ),
  ),
  egress: optional(
    listOf(
      fields({
        port: optional(SIDECAR_PORT),
        bind: optional(text({ max: 256 })),
        captureMode: optional(CAPTURE),
        hosts: listOf(text({ max: 512 }), { max: 4096 }),
      }),
      { max: 1024 },
    ),
  ),
  inboundConnectionPool: optional(anything()),
  outboundTrafficPolicy: optional(
    fields({
      mode: optional(oneOf('REGISTRY_ONLY', 'ALLOW_ANY')),
      egressProxy: optional(
        fields({
          host: text({ max: 255 }),
          port: optional(fields({ number: optional(integer(UINT32)) })),
          subset: optional(text({ max: 253 })),
        }),
      ),
    }),
  ),
});

export type WrittenSidecar = Read<typeof SIDECAR>;
export type WrittenSidecarPort = Read<typeof SIDECAR_PORT>;
export type WrittenSidecarTls = Read<typeof SIDECAR_TLS>;

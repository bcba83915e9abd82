const entry = (name: string, address: string): string => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${name}, namespace: shop }
spec: { address: "${address}", ports: { http: 8080, tcp: 9000 }, labels: { app: ${name} }, serviceAccount: ${name} }
---`;

const service = (name: string, address: string): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: shop }
spec:
  hosts: [${name}.shop.svc.cluster.local]
  addresses: ["${address}"]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ name: http, number: 80, protocol: HTTP, targetPort: 8080 }, { name: tcp, number: 9000, protocol: TCP }]
  workloadSelector: { labels: { app: ${name} } }
---`;

/**
 * Workloads with services: catalog (STRICT, with rules), prices (PERMISSIVE), six (STRICT, IPv6 alone), and front, which
 * calls.
 */
export const RESOURCES = `${entry('front', '10.77.0.11')}${entry('catalog', '10.77.0.12')}${entry('prices', '10.77.0.13')}${entry('six', 'fd77::14')}
${service('catalog', '10.96.0.12')}${service('prices', '10.96.0.13')}${service('six', 'fd96::14')}
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: shop }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: prices, namespace: shop }
spec: { selector: { matchLabels: { app: prices } }, mtls: { mode: PERMISSIVE } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: closed, namespace: shop }
spec:
  selector: { matchLabels: { app: catalog } }
  action: DENY
  rules:
    - to: [{ operation: { ports: ["8080"], paths: ["/admin*"] } }]
    - to: [{ operation: { ports: ["8081"], paths: ["/closed"] } }]
    - to: [{ operation: { ports: ["9001"] } }]
`;

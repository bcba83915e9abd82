/** Whoever may GET the catalog. */
export const POLICY = `# who may read
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: read, namespace: shop }
spec:
  selector: { matchLabels: { app: catalog } }
  rules:
    - to: [{ operation: { methods: [GET] } }]
`;

/** The catalog. */
export const WORKLOAD = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: catalog, namespace: shop, labels: { app: catalog } }
spec: { address: 127.0.1.1, ports: { http: 8080 }, serviceAccount: catalog }
`;

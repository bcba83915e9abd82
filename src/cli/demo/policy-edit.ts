import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { callThroughSidecar, type Member, type Mesh } from './mesh.ts';

/** The policy that is added while everything runs. */
export const SECRET_POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-secret, namespace: shop }
spec:
  selector: { matchLabels: { app: catalog } }
  action: DENY
  rules: [{ to: [{ operation: { ports: ["8080"], paths: [/products/secret] } }] }]
`;

export interface PolicyEdit {
  /** HTTP status of `GET /products/secret` before. */
  readonly before: number | undefined;
  readonly after: number | undefined;
  /** That of `GET /products` after: the edit is about nothing else. */
  readonly others: number | undefined;
  /** Milliseconds from the file's being written to the first denial. */
  readonly took: number;
  /** Calls that were made meanwhile. */
  readonly calls: number;
  /** The policy that the called sidecar names. */
  readonly detail: string;
}

/** Milliseconds for an edit to arrive everywhere. */
const PATIENCE = 5_000;

/** Writes a policy into the watched folder, as an editor would, and calls until the calls' fate changes. */
export async function editPolicy({ resources }: Mesh, from: Member, to: Member): Promise<PolicyEdit> {
  const status = async (path: string): Promise<number | undefined> =>
    (await from.application.call(callThroughSidecar(from.address, to.service, { path }))).status;
  const secret = `${to.service.path}/secret`;
  const before = await status(secret);
  const { length } = to.sidecar.lines;
  const start = performance.now();
  await writeFile(join(resources, 'deny-secret.yaml'), SECRET_POLICY);
  let calls = 0;
  let after: number | undefined;
  do {
    calls += 1;
    after = await status(secret);
  } while (after === before && performance.now() - start < PATIENCE);
  const took = performance.now() - start;
  const line = await to.sidecar
    .line(({ path, response_code }) => path === secret && response_code === 403, { from: length, patience: 2_000 })
    .catch(() => undefined);
  const said = line?.['response_code_details'];
  const detail = typeof said === 'string' ? said : 'the sidecar said nothing';
  return { before, after, others: await status(to.service.path), took, calls, detail };
}

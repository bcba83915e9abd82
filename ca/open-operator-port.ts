import type { Settings } from '../src/config/settings-table.ts';
import type { Clock } from '../src/core/clock.ts';
import type { Logger } from '../src/core/logger.ts';
import type { KubernetesClient } from '../src/kubernetes/api-client.ts';
import { reviewAccess } from '../src/kubernetes/subject-access-review.ts';
import type { TokenReviewer } from '../src/kubernetes/token-review.ts';
import type { ServerTls } from '../src/wire/server-secure-context.ts';
import type { CertificateAuthenticator } from './authenticators/authenticator.ts';
import { createKubernetesOperators } from './operator/kubernetes-operators.ts';
import { createListedOperators } from './operator/listed-operators.ts';
import { createOperatorApp, type ForbiddenOperation } from './operator/operator-app.ts';
import { createOperatorAuthentication } from './operator/operator-authentication.ts';
import type { Operation } from './operator/operation.ts';
import { serveOperatorPort, type OperatorPort } from './operator/operator-port.ts';

export interface OperatorPortParts {
  readonly operations: readonly Operation[];
  /** Where Kubernetes judges tokens. */
  readonly kubernetes:
    { readonly reviewer: Pick<TokenReviewer, 'review'>; readonly client: Pick<KubernetesClient, 'create'> } | undefined;
  readonly certificate: CertificateAuthenticator;
  readonly tls: ServerTls;
  readonly onStranger: (code: string, remoteAddress: string) => void;
  readonly onForbidden: (forbidden: ForbiddenOperation) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The operator API over TLS; undefined where nobody could be let in.
 *
 * @throws SealwrightError `port_in_use`, `listen_refused`
 */
export async function openOperatorPort(
  { ca }: Settings,
  { operations, kubernetes, certificate, tls, onStranger, onForbidden, clock, logger }: OperatorPortParts,
): Promise<OperatorPort | undefined> {
  const { identities, viewers, listen } = ca.operator;
  const listed = identities.length + viewers.length > 0;
  if (kubernetes === undefined && !listed) return undefined;
  const authenticate = createOperatorAuthentication({
    tokens:
      kubernetes === undefined
        ? undefined
        : createKubernetesOperators({
            reviewToken: (token, audiences) => kubernetes.reviewer.review(token, audiences),
            reviewAccess: (user, question) => reviewAccess(kubernetes.client, user, question),
            clock,
            logger,
          }),
    certificates: listed ? createListedOperators({ certificate, operators: identities, viewers }) : undefined,
    onStranger,
    logger,
  });
  const { host = '::', port } = listen;
  const opened = await serveOperatorPort({
    host,
    port,
    tls,
    authenticate,
    appFor: (access) => createOperatorApp({ operations, access, onForbidden, logger }),
    logger,
  });
  logger.info('the operator API listens', { listen: `${host}:${opened.port}`, kubernetes: kubernetes !== undefined });
  return opened;
}

import { join } from 'node:path';
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
import type { RefusalLedger } from './issuance/refusal-ledger.ts';
import type { RefusalCounter } from './ledger/refusal-counter.ts';
import { ownerAccess, type OperatorAccess } from './operator/operator-access.ts';
import { createOperatorApp, type OperatorApp } from './operator/operator-app.ts';
import { createOperatorAuthentication } from './operator/operator-authentication.ts';
import type { Operation } from './operator/operation.ts';
import { serveOperatorPort, type OperatorPort } from './operator/operator-port.ts';
import { serveOperatorSocket } from './operator/operator-server.ts';

export interface OperatorParts {
  readonly operations: readonly Operation[];
  /** The user that the CA runs as. */
  readonly uid: number;
  /** Where Kubernetes judges tokens. */
  readonly kubernetes:
    { readonly reviewer: Pick<TokenReviewer, 'review'>; readonly client: Pick<KubernetesClient, 'create'> } | undefined;
  readonly certificate: CertificateAuthenticator;
  readonly tls: ServerTls;
  /** Takes the refusals of operators by name, and counts those of strangers. */
  readonly proven: Pick<RefusalLedger, 'record'>;
  readonly refusals: Pick<RefusalCounter, 'count'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For what callers can cause at will. */
  readonly perCall: Logger;
  /** Told of each part that must be closed. */
  readonly started: <T>(part: T, stop: (part: T) => Promise<void> | void) => T;
}

/**
 * The operator API: on a socket in the state folder, and over TLS where anybody could be let in there, which is what is
 * answered.
 *
 * @throws SealwrightError `operator_socket_unavailable`, `port_in_use`, `listen_refused`
 */
export async function openOperators(settings: Settings, parts: OperatorParts): Promise<OperatorPort | undefined> {
  const { operations, uid, proven, logger, perCall, started } = parts;
  const appFor = (access: OperatorAccess): OperatorApp =>
    createOperatorApp({
      operations,
      access,
      onForbidden: ({ actor, operation, reason: detail }) => {
        // It never rejects: what cannot be ledgered is logged.
        void proven.record({ kind: 'operator-refusal', actor, operation, reason: 'operator_forbidden', detail });
      },
      logger: perCall,
    });
  started(
    await serveOperatorSocket({
      path: join(settings.ca.state, 'operator.sock'),
      // The socket is 0600: who can open it owns the state folder, or is root.
      app: appFor(ownerAccess(`socket:uid=${uid}`)),
      logger,
    }),
    (part) => part.close(),
  );
  return started(await openPort(settings, appFor, parts), (part) => part?.close());
}

async function openPort(
  { ca }: Settings,
  appFor: (access: OperatorAccess) => OperatorApp,
  { kubernetes, certificate, tls, refusals, clock, logger, perCall }: OperatorParts,
): Promise<OperatorPort | undefined> {
  const { identities, viewers, listen } = ca.operator;
  const listed = identities.length + viewers.length > 0;
  if (kubernetes === undefined && !listed) return undefined;
  const tokens =
    kubernetes === undefined
      ? undefined
      : createKubernetesOperators({
          reviewToken: (token, audiences) => kubernetes.reviewer.review(token, audiences),
          reviewAccess: (user, question) => reviewAccess(kubernetes.client, user, question),
          clock,
          logger: perCall,
        });
  const authenticate = createOperatorAuthentication({
    tokens,
    certificates: listed ? createListedOperators({ certificate, operators: identities, viewers }) : undefined,
    onStranger: (code, remoteAddress) => refusals.count(code, remoteAddress),
    logger: perCall,
  });
  const { host = '::', port } = listen;
  const opened = await serveOperatorPort({ host, port, tls, authenticate, appFor, logger: perCall });
  logger.info('the operator API listens', { listen: `${host}:${opened.port}`, kubernetes: kubernetes !== undefined });
  return opened;
}

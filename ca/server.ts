import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from '../src/config/settings-table.ts';
import { createClock } from '../src/core/clock.ts';
import { SealwrightError } from '../src/core/errors.ts';
import { createRandomPool } from '../src/core/random-pool.ts';
import { SpiffeId } from '../src/identity/spiffe-id.ts';
import { parseTrustDomain } from '../src/identity/trust-domain.ts';
import { limitLines } from '../src/observe/limit-lines.ts';
import { createLogger } from '../src/observe/logger.ts';
import { createMetrics } from '../src/observe/metrics.ts';
import { parseCertificate } from '../src/pki/certificate.ts';
import { encodePem } from '../src/pki/pem.ts';
import { verifySvid } from '../src/pki/verify-svid.ts';
import { connectionLimit } from '../src/wire/connection-limit.ts';
import { GrpcServer } from '../src/wire/grpc-server.ts';
import { createHealth } from '../src/wire/health.ts';
import { createReflection } from '../src/wire/reflection.ts';
import { socketAnswers } from '../src/wire/socket-answers.ts';
import { listenTls } from '../src/wire/tls-listener.ts';
import { authenticateInOrder } from './authenticators/authenticate-in-order.ts';
import { createSvidAuthenticator } from './authenticators/svid-authenticator.ts';
import { openTokenAuthenticators } from './authenticators/open-token-authenticators.ts';
import { openTokenIssuer } from './authenticators/open-token-issuer.ts';
import { createKeySetFetcher } from './key-sets/fetch-key-set.ts';
import { createAddressGuard } from '../src/token/address-guard.ts';
import { issuanceEvents } from './controllers/issuance-events.ts';
import { discoveryGrpcService } from './distribution/discovery-grpc-service.ts';
import { createDistributionMetrics } from './distribution/distribution-metrics.ts';
import { Distribution } from './distribution/distribution.ts';
import { certificateGrpcService } from './issuance/certificate-grpc-service.ts';
import { createIssuanceMetrics, exposeExpiry } from './issuance/issuance-metrics.ts';
import { Issuance } from './issuance/issuance.ts';
import { createIssuer } from './issuance/issuer.ts';
import { createServerSigner } from './issuance/server-certificates.ts';
import { RefusalLedger } from './issuance/refusal-ledger.ts';
import { openLedger } from './ledger/ledger.ts';
import { RefusalCounter } from './ledger/refusal-counter.ts';
import { identityOperations } from './operator/identity-operations.ts';
import { ledgerOperations } from './operator/ledger-operations.ts';
import { tokenOperations } from './operator/token-operations.ts';
import { ledgerRefusal } from './ledger-refusal.ts';
import { namesOfSettings } from './names-of-settings.ts';
import { openCluster } from './open-cluster.ts';
import { openControllers } from './open-controllers.ts';
import { openMaterial } from './open-material.ts';
import { openKubernetesJudge } from './open-kubernetes-judge.ts';
import { openNodeAuthorizer } from './open-node-authorizer.ts';
import { openOperators } from './open-operators.ts';
import { openStatus } from './open-status.ts';
import { openStore } from './open-store.ts';
import { createReadiness } from './readiness.ts';
import { recordRoots } from './record-roots.ts';
import { RunningParts } from './running-parts.ts';
import { serveCaStatus } from './serve-ca-status.ts';
import type { CaMaterial } from './roots/ca-material.ts';
import { makeStateFolder } from './roots/make-state-folder.ts';
import { ServerIdentity } from './roots/server-identity.ts';
import { lockState } from './roots/state-lock.ts';

export interface CaSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Takes one line of the log, its line break included. */
  readonly log: (line: string) => void;
}

export interface CaProcess {
  /** Where the CA API really listens, which matters where port 0 was asked for. */
  readonly address: { readonly host: string; readonly port: number };
  readonly metricsPort: number;
  /** Ends in order: no new calls, open ones finished, the ledger flushed. */
  close(): Promise<void>;
}

/** How long open calls may go on once the CA was told to stop, in milliseconds. */
const STOP_GRACE = 5_000;

/** For one document of an issuer's keys, in milliseconds. */
const KEY_SET_PATIENCE = 5_000;

/**
 * The largest message in bytes: a CSR may have 64 KiB, and a list of subscriptions is not longer than this. With the
 * calls of one connection it bounds what somebody without a credential can make the CA hold: 8 MiB a connection.
 */
const LARGEST_MESSAGE = 256 * 1024;

/** Calls open at once on one connection. A workload has a control stream and now and then a renewal. */
const MOST_CALLS = 32;

/**
 * The certificate authority: its parts in the order in which they start. They stop in the other order, also where a
 * later one fails to start.
 *
 * @throws SealwrightError of whichever part cannot start
 */
export async function startCa(settings: Settings, surroundings: CaSurroundings): Promise<CaProcess> {
  const clock = createClock({
    now: Date.now,
    elapsed: () => performance.now(),
    setTimeout,
    clearTimeout: (handle) => clearTimeout(handle),
  });
  const { level, format } = settings.log;
  const logger = createLogger({ level, format, clock, write: surroundings.log, bound: { component: 'ca' } });
  const metrics = createMetrics({ processMetrics: true });
  const trustDomain = parseTrustDomain(settings.trustDomain);
  const parts = new RunningParts();
  const { started } = parts;

  try {
    const folder = settings.ca.state;
    await makeStateFolder(folder);
    started(lockState(folder), (lock) => lock.release());
    // Where the file system has no locks that reach the other CA: before the ledger's epoch is taken, which fences it.
    if (await socketAnswers(join(folder, 'operator.sock'))) throw new SealwrightError('state_in_use', { folder });
    const cluster = await openCluster(settings, { env: surroundings.env, clock, started });
    const resources = await openStore(settings, { cluster, metrics, clock, random: Math.random, logger, started });
    const inCluster = openStatus(settings, {
      cluster,
      resources,
      env: surroundings.env,
      metrics,
      clock,
      random: Math.random,
      randomBytes,
      logger,
      started,
    });
    const material = await openMaterial(settings, {
      cluster,
      trustDomain,
      metrics,
      clock,
      random: Math.random,
      randomBytes,
      logger,
      started,
    });
    const ledger = started(
      await openLedger({
        databasePath: join(folder, 'ledger.db'),
        logKeyPath: join(folder, 'log-key.pem'),
        clock,
        logger,
      }),
      (part) => part.close(),
    );
    await recordRoots(material, ledger);

    const tokenIssuer = await openTokenIssuer(settings, { folder, clock, logger, randomBytes });
    const refusals = started(new RefusalCounter({ append: (entry) => ledger.append(entry), clock, logger }), (part) =>
      part.close(),
    );
    // For what callers can cause at will; it ends before the logger does.
    const perCall = started(limitLines({ logger, clock }), (part) => part.close()).logger;
    const proven = started(
      new RefusalLedger({
        append: (entry) => ledger.append(entry),
        countOnly: (reason, identity) => refusals.count(reason, identity),
        clock,
        logger: perCall,
      }),
      (part) => part.close(),
    );
    const judge = await openKubernetesJudge(settings, { env: surroundings.env, clock, logger: perCall, started });
    const certificate = createSvidAuthenticator({
      trustDomain,
      verifySvid: (chain) => {
        const { identity, leaf, notAfter } = verifySvid(chain, { trustDomain, roots: material.roots }, clock.now());
        return { identity, serial: leaf.serial, notAfter };
      },
      history: ledger,
      // Nothing can be revoked yet but by time: a token every `tokenMaxAge`.
      isRevoked: () => false,
      presence: judge?.presence,
      maxTokenAge: settings.ca.auth.tokenMaxAge,
      clock,
    });
    const authenticate = authenticateInOrder({
      tokens: await openTokenAuthenticators(settings, {
        trustDomain,
        tokenIssuer,
        env: surroundings.env,
        clock,
        logger,
        started,
      }),
      certificate,
      logger,
    });
    const issuer = createIssuer(material);
    const issuance = new Issuance({
      issuer: () => issuer,
      ledger,
      refusals: proven,
      lifetimes: settings.ca.ttl,
      tokenMaxAge: settings.ca.auth.tokenMaxAge,
      clock,
      // Serial numbers are public: they may lie in memory before they are used.
      randomBytes: createRandomPool(randomBytes),
      logger: perCall,
    });
    exposeExpiry(metrics, clock, { root: () => firstRootExpiry(material), chain: () => material.notAfter });

    const service = certificateGrpcService({
      authenticate,
      authorizeNode: openNodeAuthorizer(settings, { cluster, resources, clock, started }),
      newCallId: () => randomBytes(8).toString('hex'),
      issuance,
      metrics: createIssuanceMetrics(metrics),
      onRefused: (refusal) => ledgerRefusal(refusal, { proven, refusals }),
      onFailed: issuanceEvents(inCluster.events),
      logger: perCall,
    });
    const distribution: Distribution = started(
      new Distribution({
        store: resources.store,
        bundle: { trustDomain, roots: material.roots },
        rootNamespace: settings.rootNamespace,
        clusterId: settings.clusterId,
        clusterDomain: settings.clusterDomain.toLowerCase(),
        discoversPods: cluster !== undefined,
        fetchKeySet: createKeySetFetcher({
          guard: createAddressGuard(settings.ca.keySets.allowAddresses),
          caFile: settings.ca.keySets.caFile,
          timeout: KEY_SET_PATIENCE,
          clock,
        }),
        random: Math.random,
        metrics: createDistributionMetrics(metrics, () => distribution.streams),
        clock,
        logger,
      }),
      (part) => part.close(),
    );
    const discovery = discoveryGrpcService({ authenticate, distribution: resources.guard(distribution), logger });
    const served = [service.description.typeName, discovery.description.typeName];
    const health = createHealth(served);
    const services = [service, discovery, health.service];
    const grpc = new GrpcServer({
      services: [...services, ...createReflection(services)],
      maxMessageBytes: LARGEST_MESSAGE,
      maxCallsPerConnection: MOST_CALLS,
      clock,
      logger,
    });
    const roots = material.roots.map((root) => encodePem('CERTIFICATE', root)).join('');
    const serverIdentity = started(
      await ServerIdentity.open({
        names: namesOfSettings(settings),
        signServerCertificate: createServerSigner({
          // SPIFFE-ID 3.1: a signing authority carries an SVID of its own.
          identity: SpiffeId.ofWorkload(trustDomain, {
            namespace: settings.rootNamespace,
            serviceAccount: 'sealwright-ca',
          }),
          material: () => material,
          ledger,
          now: () => clock.now(),
          randomBytes,
        }),
        onRenewal: ({ certificateChain, privateKey }) => {
          listener.setTls({ certificateChain, privateKey, roots });
          operatorPort?.setTls({ certificateChain, privateKey, roots });
        },
        clock,
        random: Math.random,
        logger,
      }),
      (part) => part.close(),
    );
    const { certificateChain, privateKey } = serverIdentity.current;
    const { host = '::', port } = settings.ca.listen;
    const listener = await listenTls({
      server: grpc,
      host,
      port,
      tls: { certificateChain, privateKey, roots },
      maxConnections: connectionLimit(await readFile('/proc/self/limits', 'utf8').catch(() => undefined)),
      onRefused: (why, detail) => logger.debug('a connection was refused', { why, ...detail }),
    });
    started(listener, async (part) => {
      part.close();
      await grpc.stop(STOP_GRACE);
    });

    const operations = [
      ...identityOperations({ trustDomain, ledger, issuance, now: () => clock.now() }),
      ...tokenOperations({
        trustDomain,
        issuer: tokenIssuer,
        audiences: settings.ca.auth.audiences,
        ttl: settings.ca.tokenIssuer.ttl,
        ledger,
      }),
      ...ledgerOperations({
        ledger,
        describe: () => ({
          version: surroundings.version,
          trustDomain,
          selfSigned: material.selfSigned,
          roots: material.roots,
        }),
      }),
    ];
    const operatorPort = await openOperators(settings, {
      operations,
      uid: process.getuid?.() ?? 0,
      kubernetes: judge,
      certificate,
      tls: { certificateChain, privateKey, roots },
      proven,
      refusals,
      clock,
      logger,
      perCall,
      started,
    });
    const readiness = started(
      createReadiness({
        ledger,
        notAfter: () => material.notAfter,
        health,
        services: served,
        waitingFor: resources.waitingFor,
        issuing: [service.description.typeName],
        clock,
      }),
      (part) => part.close(),
    );
    const status = started(
      await serveCaStatus(settings, { metrics, readiness, logger, version: surroundings.version }),
      (part) => part.close(),
    );

    if (cluster !== undefined) {
      await openControllers(settings, {
        cluster,
        material,
        events: inCluster.events,
        work: [inCluster.whileLeading(distribution)],
        env: surroundings.env,
        metrics,
        clock,
        random: Math.random,
        randomBytes,
        logger,
        started,
      });
    }

    const address = { host, port: listener.port };
    const waitingFor = readiness.reason();
    logger.info('the CA is ready', {
      // It issues already, while `/ready` sends no callers yet.
      ...(waitingFor === undefined ? {} : { ready: false, waitingFor }),
      listen: `${host}:${address.port}`,
      metrics: status.port,
      trustDomain,
      state: folder,
    });
    return {
      address,
      metricsPort: status.port,
      close: async () => {
        await parts.stop({ clock, logger });
        logger.info('the CA has stopped');
      },
    };
  } catch (error) {
    await parts.stop({ clock, logger });
    throw error;
  }
}

function firstRootExpiry({ roots }: CaMaterial): number {
  const [first] = roots;
  return first === undefined ? 0 : parseCertificate(first).notAfter;
}

import { join } from 'node:path';
import { BINARY } from '../../fakes/running-ca.ts';
import { PROJECT } from '../../structure/sources.ts';

/** A container of the tests' own pods, as the API server takes it. */
export type ContainerText = Readonly<Record<string, unknown>>;

const SEALWRIGHT = [process.execPath, BINARY];
const APPLICATION = join(PROJECT, 'test/proxy/intercept/application-child.ts');
const LOAD = join(PROJECT, 'test/kubernetes/pods/load-child.ts');

const fieldRef = (name: string, fieldPath: string): object => ({ name, valueFrom: { fieldRef: { fieldPath } } });

export const ROOT_NAMESPACE = 'sealwright-system';
export const CA_HOST = `sealwright-ca.${ROOT_NAMESPACE}.svc`;

/** Seconds of a certificate: short, so that each is renewed several times while things break. */
const CERTIFICATE_LIFE = '30s';

/**
 * One replica of the CA: its resources, its callers' tokens, its leadership and its root are the API server's. Shorter
 * lease times than the defaults, so that a fail-over is seen within seconds.
 */
export function caSpec(): Readonly<Record<string, unknown>> {
  const flags = {
    'kubernetes-enabled': 'true',
    'ca-roots-secret': `${ROOT_NAMESPACE}/sealwright-ca`,
    'ca-leader-election-lease-duration': '4s',
    'ca-leader-election-renew-deadline': '3s',
    'ca-leader-election-retry-period': '500ms',
    'ca-auth-token-review-enabled': 'true',
    'ca-state': '/var/lib/sealwright',
    'log-level': 'info',
  };
  return {
    volumes: [{ name: 'state', emptyDir: {} }],
    containers: [
      {
        name: 'ca',
        image: 'sealwright',
        command: SEALWRIGHT,
        args: ['ca', ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)],
        workingDir: '/var/lib/sealwright',
        volumeMounts: [{ name: 'state', mountPath: '/var/lib/sealwright' }],
        readinessProbe: { httpGet: { path: '/ready', port: 15_014 } },
      },
    ],
  };
}

/** A pod behind a sidecar with interception, as an injector would write it. */
export function meshSpec(application: ContainerText): Readonly<Record<string, unknown>> {
  const token = { path: 'istio-token', audience: 'istio-ca', expirationSeconds: 3_600 };
  const proxy = {
    'interception-mode': 'REDIRECT',
    'ca-address': `${CA_HOST}:15012`,
    'ca-root': '/var/run/secrets/istio/root-cert.pem',
    'token-file': '/var/run/secrets/tokens/istio-token',
    'certificate-ttl': CERTIFICATE_LIFE,
    'access-log': 'errors',
  };
  return {
    volumes: [
      { name: 'istio-token', projected: { sources: [{ serviceAccountToken: token }] } },
      { name: 'istiod-ca-cert', configMap: { name: 'istio-ca-root-cert' } },
      { name: 'sealwright', emptyDir: {} },
    ],
    initContainers: [
      {
        name: 'sealwright-init',
        image: 'sealwright',
        command: SEALWRIGHT,
        args: ['intercept', 'install'],
        securityContext: { runAsUser: 0, capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } },
      },
      {
        name: 'sealwright-proxy',
        image: 'sealwright',
        restartPolicy: 'Always',
        command: SEALWRIGHT,
        args: ['proxy', ...Object.entries(proxy).map(([name, value]) => `--${name}=${value}`)],
        workingDir: '/var/lib/sealwright',
        env: [fieldRef('POD_NAME', 'metadata.name'), fieldRef('POD_NAMESPACE', 'metadata.namespace')],
        volumeMounts: [
          { name: 'istio-token', mountPath: '/var/run/secrets/tokens', readOnly: true },
          { name: 'istiod-ca-cert', mountPath: '/var/run/secrets/istio', readOnly: true },
          { name: 'sealwright', mountPath: '/var/lib/sealwright' },
        ],
        startupProbe: { httpGet: { path: '/healthz/ready', port: 15_021 } },
        securityContext: { runAsUser: 1337, runAsGroup: 1337 },
      },
    ],
    containers: [application],
  };
}

export const server: ContainerText = {
  name: 'app',
  image: 'app',
  command: [process.execPath, APPLICATION, '::', '8080'],
  ports: [{ name: 'http', containerPort: 8080 }],
  // At loopback, which is not intercepted: the mesh lets no probe from elsewhere in.
  readinessProbe: { exec: { command: ['curl', '-sf', '-o', '/dev/null', 'http://127.0.0.1:8080/'] } },
  // Callers hear that the pod goes while it still serves.
  lifecycle: { preStop: { exec: { command: ['sleep', '2'] } } },
};

/** Calls a URL without a pause, and prints what became of it. */
export const caller = (url: string): ContainerText => ({
  name: 'app',
  image: 'app',
  command: [process.execPath, LOAD, url],
});

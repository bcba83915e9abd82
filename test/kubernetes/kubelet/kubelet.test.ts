import { strict as assert } from 'node:assert';
import { needNetworkNamespaces } from '../../fakes/network-namespaces.ts';
import { useCluster } from '../cluster.ts';
import { Kubelet } from './kubelet.ts';
import { PodNetwork } from './pod-network.ts';

const NODE = process.execPath;

/** Serves one page that says where and what it is, until it is told to end. */
const SERVER = `
  const fs = require('node:fs');
  const page = () => JSON.stringify({
    name: process.env.NAME, greeting: process.env.GREETING, uid: process.getuid(),
    token: fs.readFileSync('/var/run/secrets/tokens/token', 'utf8').split('.').length,
    written: fs.existsSync('/var/lib/by-init'), shared: fs.readFileSync('/shared/by-init', 'utf8'),
  });
  require('node:http').createServer((_, answer) => answer.end(page())).listen(8080);
  process.on('SIGTERM', () => process.exit(0));
`;

describe('pods that are run as processes', () => {
  let network: PodNetwork | undefined;
  let kubelet: Kubelet | undefined;

  before(function () {
    needNetworkNamespaces(this);
    network = new PodNetwork();
  });
  const cluster = useCluster(() => ({ host: network!.host }));
  before(() => {
    kubelet = new Kubelet({ cluster: cluster(), network: network! });
  });

  after(async () => {
    await kubelet?.stop();
    network?.remove();
  });

  const volumeMounts = [
    { name: 'token', mountPath: '/var/run/secrets/tokens', readOnly: true },
    { name: 'shared', mountPath: '/shared' },
  ];
  const volumes = [
    { name: 'token', projected: { sources: [{ serviceAccountToken: { path: 'token', audience: 'istio-ca' } }] } },
    { name: 'shared', emptyDir: {} },
  ];

  it('have an address, variables, tokens and volumes, and files of their own', async () => {
    const namespace = await cluster().namespace('shop', ['web']);
    const env = [
      { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'GREETING', value: 'I am $(NAME)' },
    ];
    const write = 'echo -n hello > /shared/by-init; mkdir -p /var/lib; touch /var/lib/by-init';
    await cluster().pod({
      namespace,
      name: 'web-1',
      serviceAccount: 'web',
      phase: 'Pending',
      spec: {
        volumes,
        initContainers: [{ name: 'init', image: 'i', command: ['sh', '-c', write], volumeMounts }],
        containers: [
          {
            name: 'app',
            image: 'i',
            command: [NODE, '-e', SERVER],
            env,
            volumeMounts,
            securityContext: { runAsUser: 1234 },
            readinessProbe: { httpGet: { port: 8080 } },
          },
        ],
      },
    });
    const pod = await kubelet!.run(namespace, 'web-1');
    const page = await (await fetch(`http://${pod.address}:8080/`)).json();
    assert.deepEqual(page, {
      name: 'web-1',
      greeting: 'I am web-1',
      uid: 1234,
      token: 3,
      // What one container writes outside of the volumes, no other sees.
      written: false,
      shared: 'hello',
    });
    const { status } = await cluster().ask('GET', `/api/v1/namespaces/${namespace}/pods/web-1`);
    const { phase, podIP } = status as Record<string, unknown>;
    assert.deepEqual([phase, podIP], ['Running', pod.address]);
    await pod.delete();
    assert.equal((await cluster().plane.api('GET', `/api/v1/namespaces/${namespace}/pods/web-1`)).status, 404);
  });

  it('complete when all but the sidecars have ended, and end the sidecars then', async () => {
    const namespace = await cluster().namespace('shop');
    const sidecar = { name: 'side', image: 'i', restartPolicy: 'Always', command: ['sleep', '1000'] };
    await cluster().pod({
      namespace,
      name: 'job',
      phase: 'Pending',
      spec: { initContainers: [sidecar], containers: [{ name: 'work', image: 'i', command: ['true'] }] },
    });
    const pod = await kubelet!.start(namespace, 'job');
    await pod.ready();
    assert.equal(await pod.completed(), 'Succeeded');
    assert.notEqual(pod.container('side').exitCode, null);
  });

  it('say what a container said that does not start', async () => {
    const namespace = await cluster().namespace('shop');
    const failing = { name: 'init', image: 'i', command: ['sh', '-c', 'echo no such luck; exit 3'] };
    const containers = [{ name: 'app', image: 'i', command: ['true'] }];
    await cluster().pod({
      namespace,
      name: 'fails',
      phase: 'Pending',
      spec: { initContainers: [failing], containers },
    });
    await assert.rejects(kubelet!.run(namespace, 'fails'), /no such luck/);
  });
});

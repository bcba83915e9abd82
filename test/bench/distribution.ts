import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import { createHub, JoinedSidecar } from '../ca/distribution/mesh.ts';
import { networking, policy } from '../resources/yaml-resource.ts';

// What one change of the mesh costs the CA, by the size of the mesh: `npm exec -c 'node test/bench/distribution.ts'`.

const { address, authorizationPolicy } = CONTROL_TYPES;

function mesh(workloads: number): { entries: string[]; uids: string[]; names: string[] } {
  const names = Array.from({ length: workloads }, (_, index) => `w${index}`);
  const entries = names.map((name, index) =>
    networking(
      'WorkloadEntry',
      `{address: 10.${index >> 16}.${(index >> 8) & 255}.${index & 255}, serviceAccount: ${name}, labels: {app: s${index % 100}}, ports: {http: 8080}}`,
    ).replace('name: x', `name: ${name}`),
  );
  const services = Array.from({ length: 100 }, (_, index) =>
    networking(
      'ServiceEntry',
      `{hosts: [s${index}.internal], ports: [{name: http, number: 80, protocol: HTTP}], resolution: STATIC, location: MESH_INTERNAL, workloadSelector: {labels: {app: s${index}}}}`,
    ).replace('name: x', `name: s${index}`),
  );
  const uids = names.map((name) => `Kubernetes/networking.istio.io/WorkloadEntry/shop/${name}`);
  return { entries: [...entries, ...services], uids, names };
}

for (const size of [10, 100, 1_000]) {
  const { entries, uids, names } = mesh(size);
  const { distribution, store } = createHub(...entries, policy('all', '/a'));
  const sidecars = names.map((name, index) => {
    const made = new JoinedSidecar(distribution, address, { workload: `shop/${name}` });
    return made.subscribe(address, uids[index] ?? '', `shop/s${index % 100}.internal`);
  });
  const policies = names.map((name) =>
    new JoinedSidecar(distribution, authorizationPolicy, { workload: `shop/${name}` }).subscribe(
      authorizationPolicy,
      '*',
    ),
  );
  const rounds = Array.from({ length: 6 }, (_, round) => {
    const told = store.prepare(...entries, policy('all', `/a${round}`));
    const started = performance.now();
    told();
    const pushed = performance.now();
    for (const each of [...sidecars, ...policies]) each.settle();
    return pushed - started;
  });
  const median = rounds.slice(1).sort((a, b) => a - b)[2] ?? Number.NaN;
  process.stdout.write(`${size} workloads, ${size * 2} streams, a policy of all changed: ${median.toFixed(1)} ms\n`);
}

import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import type { Figure } from './figure.ts';
import type { ScaleSidecar } from './load/scale-sidecars.ts';
import { RunningScale, type WatchedEdit } from './running-scale.ts';
import type { ScaleEdit } from './scale-edit.ts';
import { ScaleMesh } from './scale-mesh.ts';

const PODS = 10_000;
const SIDECARS = 1_000;
const { address, authorizationPolicy } = CONTROL_TYPES;

/** Who is told of each edit of the mesh that `ScaleMesh` describes, and how often it is made. */
const EDITS: readonly (WatchedEdit & Pick<ScaleEdit, 'what'>)[] = [
  { what: 'policy of one service', typeUrl: authorizationPolicy, told: 5, rounds: 50 },
  { what: 'policy of the mesh', typeUrl: authorizationPolicy, told: SIDECARS, rounds: 50 },
  { what: 'pod', typeUrl: address, told: 25, rounds: 50 },
  { what: 'service', typeUrl: address, told: 25, rounds: 50 },
  { what: 'modes of the mesh', typeUrl: address, told: SIDECARS, rounds: 6 },
];

/**
 * Milliseconds from an edited policy of the whole mesh to the last of 1000 sidecars that holds it: p99 of 50. The CA's
 * end is a process with real TLS and gRPC, the sidecars are another, each with a connection of its own.
 */
export async function distributionPush(progress: (line: string) => void): Promise<Figure> {
  const mesh = new ScaleMesh(PODS);
  const sidecars = mesh.subscribers(SIDECARS).map(([namespace, pod]): ScaleSidecar => {
    const uid = `Kubernetes/networking.istio.io/WorkloadEntry/${namespace}/pod${pod}`;
    return {
      workload: `${namespace}/pod${pod}`,
      identity: `spiffe://cluster.local/ns/${namespace}/sa/sa${pod % 20}`,
      addresses: [uid, ...mesh.services(namespace, pod)],
    };
  });
  const running = await RunningScale.start({ pods: PODS }, sidecars, progress);
  try {
    const notes = [...running.notes];
    let ours = Number.NaN;
    for (const { what, typeUrl, told, rounds } of EDITS) {
      progress(what);
      const { p99, line } = await running.edits({ what, typeUrl, told, rounds }, (round) => {
        running.edit({ what, round });
      });
      if (what === 'policy of the mesh') ours = p99;
      notes.push(line);
    }
    return { ours, unit: 'ms', peer: null, peerName: null, peerAbsent: 'istiod is not at hand', notes };
  } finally {
    running.stop();
  }
}

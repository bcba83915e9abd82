import type { ResourceEdit } from '../../src/resources/resource-store.ts';
import type { ScaleMesh } from './scale-mesh.ts';

/** Something that is changed in a mesh, each time otherwise. */
export interface ScaleEdit {
  readonly what: keyof typeof EDITS;
  readonly round: number;
}

const EDITS = {
  'policy of one service': (mesh: ScaleMesh, round: number) => [mesh.policy('ns0', 7, `/round${round}`)],
  'policy of the mesh': (mesh: ScaleMesh, round: number) => [mesh.meshPolicy(`/round${round}`)],
  pod: (mesh: ScaleMesh, round: number) => [mesh.pod('ns0', 4, round + 1)],
  service: (mesh: ScaleMesh, round: number) => [mesh.service('ns0', 5, 81 + round)],
  'modes of the mesh': (mesh: ScaleMesh, round: number) => {
    const mode = round % 2 === 0 ? 'PERMISSIVE' : 'STRICT';
    return mesh.namespaces.map((namespace) => mesh.peerAuthentication(namespace, mode));
  },
} as const;

export function editOf(mesh: ScaleMesh, { what, round }: ScaleEdit): ResourceEdit {
  return { put: EDITS[what](mesh, round) };
}

import type { PodOnNode, PodsOnNodes } from '../../ca/authenticators/pods-on-nodes.ts';

export interface FakePod extends Partial<PodOnNode> {
  readonly namespace: string;
  readonly name: string;
}

/** Pods as a test sets them. */
export class FakePods implements PodsOnNodes {
  synced = true;
  pods: readonly FakePod[] = [];

  pod(namespace: string, name: string): PodOnNode | undefined {
    const found = this.pods.find((pod) => pod.namespace === namespace && pod.name === name);
    return found === undefined ? undefined : whole(found);
  }

  hasRunningPod(place: { namespace: string; serviceAccount: string; node: string }): boolean {
    return this.pods.some((pod) => {
      const { serviceAccount, node, ended, terminating } = whole(pod);
      const here = pod.namespace === place.namespace && serviceAccount === place.serviceAccount && node === place.node;
      return here && !ended && !terminating;
    });
  }
}

function whole(pod: FakePod): PodOnNode {
  return { uid: '', serviceAccount: 'default', node: '', ended: false, terminating: false, ...pod };
}

/** A pod as far as it says who may act for whom. */
export interface PodOnNode {
  readonly uid: string;
  readonly serviceAccount: string;
  /** Empty while it waits for one. */
  readonly node: string;
  /** It has succeeded or failed: none of its containers will run again. */
  readonly ended: boolean;
  /** It was told to end, and may still be doing so. */
  readonly terminating: boolean;
}

/** The pods of the cluster, as they are known at this moment. */
export interface PodsOnNodes {
  /** Whether all pods have been read once; before that, "not there" means nothing. */
  readonly synced: boolean;
  pod(namespace: string, name: string): PodOnNode | undefined;
  /**
   * Whether a pod of this account is on the node, and neither ended nor about to. One whose containers are still being
   * started counts: its certificate is asked for before they run.
   */
  hasRunningPod(place: { readonly namespace: string; readonly serviceAccount: string; readonly node: string }): boolean;
}

/** Names of which a sidecar does not go by what they are now. */
export type Unsettled = Pick<ReadonlySet<string>, 'has'>;

/** One sidecar on the control stream, for those who want to know how far a policy has come. */
export interface ConnectedSidecar {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined where it never asked for the type. */
  unsettled(typeUrl: string): Unsettled | undefined;
}

/** One sidecar on the control stream, for those who want to know how far a policy has come. */
export interface ConnectedSidecar {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Names of a type of which it does not go by what they are now; undefined where it never asked for the type. */
  unsettled(typeUrl: string): ReadonlySet<string> | undefined;
}

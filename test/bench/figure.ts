/** What a figure comes to: ours, and a peer's taken in the same run, so that the ratio means something on any machine. */
export interface Figure {
  readonly ours: number;
  /** Of which both numbers are. */
  readonly unit: string;
  /** What the peer took for the same; null where there is none to be had. */
  readonly peer: number | null;
  readonly peerName: string | null;
  /** Why there is no peer: an absent one is said, never skipped in silence. */
  readonly peerAbsent?: string;
  /** Lines that a reader needs beside the numbers. */
  readonly notes?: readonly string[];
}

/** Takes one figure. `progress` is told what it is at, since some take half a minute. */
export type Measure = (progress: (line: string) => void) => Promise<Figure>;

/** What this machine or this checkout lacks, such as another program, without which the figure would be another one. */
export class NotMeasurable extends Error {}

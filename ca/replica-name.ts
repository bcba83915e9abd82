import { hostname } from 'node:os';

/** What this replica is called where several are told apart: its pod, else its machine. */
export function replicaNameOf(env: Readonly<Record<string, string | undefined>>): string {
  return env['POD_NAME'] ?? hostname();
}

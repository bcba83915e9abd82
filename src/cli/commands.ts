import type { CommandModule } from './command.ts';

/** A row of the command table: a name and a summary, so that `--help` loads nothing else. */
export interface CommandRow {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

/** The commands in the order in which a new user meets them. Each module is loaded only when its command runs. */
export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'demo',
    summary: 'see the main job done, by real processes; --once checks it and ends',
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'init',
    summary: 'write a folder to start from: settings, resources and the places of keys',
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'ca',
    summary: 'run the certificate authority',
    load: () => import('./commands/ca.ts'),
  },
  {
    name: 'proxy',
    summary: 'run the sidecar of one workload',
    load: () => import('./commands/proxy.ts'),
  },
  {
    name: 'intercept',
    summary: 'bring the connections of a network namespace to its sidecar, or no longer',
    load: () => import('./commands/intercept.ts'),
  },
  {
    name: 'apply',
    summary: 'put resources into the folder that the CA watches',
    load: () => import('./commands/apply.ts'),
  },
  {
    name: 'get',
    summary: 'list resources, or print one',
    load: () => import('./commands/get.ts'),
  },
  {
    name: 'delete',
    summary: 'take resources out of the folder',
    load: () => import('./commands/delete.ts'),
  },
  {
    name: 'policy',
    summary: 'check policies, and explain what they answer to a request',
    load: () => import('./commands/policy.ts'),
  },
  {
    name: 'token',
    summary: 'mint service account tokens with the embedded issuer (off a cluster)',
    load: () => import('./commands/token.ts'),
  },
  {
    name: 'identity',
    summary: 'list, show and issue certificates, and read their history',
    load: () => import('./commands/identity.ts'),
  },
  {
    name: 'audit',
    summary: 'verify the ledger of everything the CA did',
    load: () => import('./commands/audit.ts'),
  },
  {
    name: 'cert',
    summary: 'explain a certificate file',
    load: () => import('./commands/cert.ts'),
  },
  {
    name: 'version',
    summary: 'print the version',
    load: () => import('./commands/version.ts'),
  },
];

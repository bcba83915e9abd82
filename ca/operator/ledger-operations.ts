import { encodePem } from '../../src/pki/pem.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Operation } from './operation.ts';

/** Everything that lets somebody check the CA: its ledger, and what it is. */
export function ledgerOperations(options: {
  readonly ledger: Pick<Ledger, 'export' | 'treeHead' | 'epoch'>;
  readonly describe: () => { version: string; trustDomain: string; selfSigned: boolean; roots: readonly Buffer[] };
}): Operation[] {
  const { ledger, describe } = options;
  return [
    {
      name: 'audit.export',
      method: 'GET',
      path: '/v1/ledger/export',
      role: 'viewer',
      summary: 'The whole ledger up to now, as the lines of an export.',
      run: async () => ledger.export(),
    },
    {
      name: 'status',
      method: 'GET',
      path: '/v1/status',
      role: 'viewer',
      summary: 'What this CA is, and the signed head of its ledger.',
      run: async () => {
        const { roots, ...rest } = describe();
        return {
          ...rest,
          roots: roots.map((root) => encodePem('CERTIFICATE', root)),
          ledger: { epoch: ledger.epoch, head: ledger.treeHead },
        };
      },
    },
  ];
}

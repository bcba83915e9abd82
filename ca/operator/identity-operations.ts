import { SealwrightError } from '../../src/core/errors.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import { encodePem } from '../../src/pki/pem.ts';
import type { Caller } from '../authenticators/authenticator.ts';
import type { Issuance } from '../issuance/issuance.ts';
import type { IssuanceEntry, RecordedEntry } from '../ledger/entry.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Operation } from './operation.ts';

export interface IdentityOperationsOptions {
  readonly trustDomain: TrustDomain;
  readonly ledger: Pick<Ledger, 'latestIssuances' | 'historyOf'>;
  readonly issuance: Pick<Issuance, 'issue'>;
  readonly now: () => number;
}

/** What operators can ask and do about identities. */
export function identityOperations(options: IdentityOperationsOptions): Operation[] {
  const { ledger, issuance, trustDomain, now } = options;
  return [
    {
      name: 'identity.list',
      method: 'GET',
      path: '/v1/identities',
      role: 'viewer',
      summary: 'Every identity with its newest certificate, a line each.',
      run: async () => listIdentities(ledger),
    },
    {
      name: 'identity.history',
      method: 'GET',
      path: '/v1/identities/history',
      role: 'viewer',
      summary: 'Every certificate of one identity, oldest first, a line each.',
      run: async (input) => listHistory(ledger, SpiffeId.parse(input.requiredText('identity'))),
    },
    {
      name: 'identity.show',
      method: 'GET',
      path: '/v1/identities/show',
      role: 'viewer',
      summary: 'The newest certificate of one identity.',
      run: async (input) => {
        const identity = SpiffeId.parse(input.requiredText('identity'));
        for await (const issued of newestFirst(ledger, identity)) {
          return { ...summaryOf(issued), certificate: encodePem('CERTIFICATE', issued.entry.certificate) };
        }
        throw new SealwrightError('identity_unknown', { identity: identity.toString() });
      },
    },
    {
      name: 'identity.issue',
      method: 'POST',
      path: '/v1/identities/issue',
      role: 'operator',
      summary: 'Signs a CSR for an identity that the operator names.',
      run: async (input, actor) => {
        const identity = SpiffeId.parse(input.requiredText('identity'));
        // The mesh's own certificates are for service accounts; another trust domain has a CA of its own.
        if (identity.workload === undefined || identity.trustDomain !== trustDomain) {
          throw new SealwrightError('identity_foreign', { identity: identity.toString(), trustDomain });
        }
        const caller: Caller = {
          identity,
          method: 'operator',
          tokenAuthenticatedAt: now(),
          credential: actor.name,
        };
        const requestedTtl = input.wholeNumber('ttl') ?? 0;
        return issuance.issue({ caller, identity, csr: input.requiredText('csr'), requestedTtl });
      },
    },
  ];
}

async function* listIdentities(ledger: IdentityOperationsOptions['ledger']): AsyncGenerator<string> {
  let after: SpiffeId | undefined;
  do {
    const page = await ledger.latestIssuances(after === undefined ? {} : { after });
    for (const issued of page.issuances) yield JSON.stringify(summaryOf(issued));
    after = page.next;
  } while (after !== undefined);
}

async function* listHistory(ledger: IdentityOperationsOptions['ledger'], identity: SpiffeId): AsyncGenerator<string> {
  const all: string[] = [];
  for await (const issued of newestFirst(ledger, identity)) all.push(JSON.stringify(summaryOf(issued)));
  yield* all.toReversed();
}

async function* newestFirst(
  ledger: IdentityOperationsOptions['ledger'],
  identity: SpiffeId,
): AsyncGenerator<RecordedEntry<IssuanceEntry>> {
  let before: number | undefined;
  for (;;) {
    const page = await ledger.historyOf(identity, before === undefined ? {} : { before });
    for (const { index, time, entry } of page) if (entry.kind === 'issuance') yield { index, time, entry };
    before = page.at(-1)?.index;
    if (before === undefined) return;
  }
}

function summaryOf({ index, time, entry }: RecordedEntry<IssuanceEntry>): Record<string, unknown> {
  const { caller } = entry;
  return {
    identity: entry.identity.toString(),
    serial: entry.serial,
    issuedAt: time,
    notBefore: entry.notBefore,
    notAfter: entry.notAfter,
    authenticatedBy: caller.method,
    credential: caller.credential,
    ...(caller.pod === undefined ? {} : { pod: caller.pod.name }),
    entry: index,
  };
}

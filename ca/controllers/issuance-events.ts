import type { SealwrightError } from '../../src/core/errors.ts';
import type { Caller } from '../authenticators/authenticator.ts';
import type { EventSink } from './cluster-event.ts';
import { subjectOfCaller } from './event-subject.ts';

/** Says at the pod of a proven caller why it got no certificate. Strangers cause no events: they could name any pod. */
export function issuanceEvents(
  record: EventSink,
): (caller: Pick<Caller, 'identity' | 'pod'>, error: SealwrightError) => void {
  return ({ identity, pod }, error) => {
    const about = subjectOfCaller({ identity, pod });
    if (about === undefined) return;
    const message = `no certificate for ${identity.toString()}: ${error.message}; ${error.facts.remedy}`;
    record({ about, type: 'Warning', reason: 'CertificateNotIssued', message });
  };
}

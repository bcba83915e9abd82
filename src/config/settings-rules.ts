import { formatDuration } from '../core/duration.ts';
import { SpiffeId } from '../identity/spiffe-id.ts';
import type { Settings } from './settings-table.ts';

/** A rule between settings that was broken; the place is that of `key`. */
export interface SettingsFault {
  readonly key: string;
  readonly message: string;
  readonly remedy: string;
}

/** What one setting alone cannot tell: settings that contradict each other. */
export function checkSettings(settings: Settings): SettingsFault[] {
  const { ttl, auth, tokenIssuer, leaderElection, roots, rootsSecret } = settings.ca;
  const faults: SettingsFault[] = [];
  if (ttl.default > ttl.max) {
    const message = `${formatDuration(ttl.default)} is longer than ca.ttl.max, ${formatDuration(ttl.max)}`;
    faults.push({ key: 'ca.ttl.default', message, remedy: 'shorten it, or raise ca.ttl.max' });
  }
  if (auth.jwksFile !== undefined && auth.jwksUri !== undefined) {
    faults.push({ key: 'ca.auth.jwksUri', message: 'ca.auth.jwksFile is set too', remedy: 'keep one of them' });
  }
  const keys =
    auth.jwksFile !== undefined ? 'ca.auth.jwksFile' : auth.jwksUri !== undefined ? 'ca.auth.jwksUri' : undefined;
  if (keys !== undefined && auth.issuer === undefined) {
    const remedy = 'set ca.auth.issuer to the issuer of the tokens';
    faults.push({ key: keys, message: 'keys without the issuer that they belong to', remedy });
  }
  if (auth.audiences.length === 0) {
    // A token for any audience would let every service that a workload ever showed one to ask in its name.
    faults.push({ key: 'ca.auth.audiences', message: 'no audience', remedy: 'name at least one, such as istio-ca' });
  }
  const { leaseDuration, renewDeadline, retryPeriod } = leaderElection;
  if (renewDeadline >= leaseDuration) {
    // Else another leads while this one still believes that it does.
    const message = `${formatDuration(renewDeadline)} is not shorter than ca.leaderElection.leaseDuration, ${formatDuration(leaseDuration)}`;
    faults.push({ key: 'ca.leaderElection.renewDeadline', message, remedy: 'shorten it to about two thirds of that' });
  }
  if (retryPeriod * 1.2 >= renewDeadline) {
    const message = `${formatDuration(retryPeriod)} leaves no second try within ca.leaderElection.renewDeadline, ${formatDuration(renewDeadline)}`;
    faults.push({ key: 'ca.leaderElection.retryPeriod', message, remedy: 'shorten it to about a fifth of that' });
  }
  if (roots !== undefined && rootsSecret !== undefined) {
    faults.push({ key: 'ca.rootsSecret', message: 'ca.roots is set too', remedy: 'keep one of them' });
  }
  if (tokenIssuer.enabled && auth.tokenReview.enabled && !tokenIssuer.besideKubernetes) {
    const remedy = 'switch one of them off, or set ca.tokenIssuer.besideKubernetes';
    faults.push({ key: 'ca.tokenIssuer.enabled', message: 'the Kubernetes API server answers for tokens too', remedy });
  }
  if (auth.trustedNodeAccounts.length > 0 && !settings.kubernetes.enabled) {
    const remedy = 'set kubernetes.enabled, or list nobody';
    const message = 'nobody can act for the pods of a node where no pods are known';
    faults.push({ key: 'ca.auth.trustedNodeAccounts', message, remedy });
  }
  const { identities, viewers } = settings.ca.operator;
  for (const [key, listed] of Object.entries({ identities, viewers })) {
    const foreign = listed.find((identity) => SpiffeId.parse(identity).trustDomain !== settings.trustDomain);
    if (foreign === undefined) continue;
    const remedy = `name identities of ${settings.trustDomain}`;
    faults.push({ key: `ca.operator.${key}`, message: `${foreign} is of another trust domain`, remedy });
  }
  const { interceptionMode, inbound, outbound } = settings.proxy;
  for (const [key, { port }] of Object.entries({ inbound, outbound })) {
    if (interceptionMode === 'NONE' || port !== 0) continue;
    const remedy = 'give it the port that "sealwright intercept install" was given';
    faults.push({ key: `proxy.${key}`, message: 'a free port, which no rule can bring connections to', remedy });
  }
  return faults;
}

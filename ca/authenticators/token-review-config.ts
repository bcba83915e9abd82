import type { Settings } from '../../src/config/settings-table.ts';
import { configOfSettings, type KubernetesConfig } from '../../src/kubernetes/api-access.ts';

/**
 * The API server that judges tokens; undefined where none does. The same that resources come from, unless a kubeconfig of
 * its own is named.
 *
 * @throws SealwrightError `kubernetes_config_invalid` where no kubeconfig is named and this is no pod
 */
export function tokenReviewConfig(
  { ca, kubernetes }: Settings,
  env: Readonly<Record<string, string | undefined>>,
): KubernetesConfig | undefined {
  const { kubeconfig } = ca.auth.tokenReview;
  if (!isEnabled({ ca, kubernetes })) return undefined;
  return kubeconfig === undefined ? configOfSettings(kubernetes, env) : { kubeconfig };
}

/**
 * What nobody set follows from the rest: a CA that is told of a cluster has its tokens judged there, except where somebody
 * chose the embedded issuer instead of it.
 */
function isEnabled({ ca, kubernetes }: Pick<Settings, 'ca' | 'kubernetes'>): boolean {
  const { enabled, besideKubernetes } = ca.tokenIssuer;
  return ca.auth.tokenReview.enabled ?? (kubernetes.enabled && (!enabled || besideKubernetes));
}

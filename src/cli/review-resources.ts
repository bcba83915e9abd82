import { PolicyReview } from '../../ca/controllers/policy-review.ts';
import { modelOf } from '../../ca/distribution/mesh-model.ts';
import type { Settings } from '../config/settings-table.ts';
import { placeIssue } from '../config/yaml-document.ts';
import type { Issue } from '../core/issue.ts';
import { parseTrustDomain } from '../identity/trust-domain.ts';
import type { ResourceSnapshot } from '../resources/resource-store.ts';

/** What only the other resources show of each policy (`PolicyReview`), with its place. */
export function reviewResources(
  snapshot: ResourceSnapshot,
  settings: Pick<Settings, 'rootNamespace' | 'clusterId' | 'trustDomain'>,
): Issue[] {
  const { rootNamespace } = settings;
  const { workloads } = modelOf(snapshot, settings);
  const trustDomain = parseTrustDomain(settings.trustDomain);
  const review = new PolicyReview({ snapshot, workloads, rootNamespace, trustDomain });
  return snapshot.all.flatMap((resource) => {
    return review.review(resource).map((issue) => placeIssue(issue, resource.origin));
  });
}

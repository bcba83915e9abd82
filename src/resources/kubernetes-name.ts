/** RFC 1123 label: names of namespaces and ports. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** RFC 1123 subdomain: names of resources. */
const SUBDOMAIN = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

/** The name of a label or annotation, behind its prefix; also what a label's value may be, where it is not empty. */
const QUALIFIED = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;

export function isNamespaceName(text: string): boolean {
  return LABEL.test(text);
}

export function isResourceName(text: string): boolean {
  return text.length <= 253 && SUBDOMAIN.test(text);
}

/** `[prefix/]name`, of labels and annotations. */
export function isQualifiedName(text: string): boolean {
  const slash = text.indexOf('/');
  if (slash === -1) return QUALIFIED.test(text);
  return isResourceName(text.slice(0, slash).toLowerCase()) && QUALIFIED.test(text.slice(slash + 1));
}

export function isLabelValue(text: string): boolean {
  return text === '' || QUALIFIED.test(text);
}

/** Reads a decimal port number as Istio's webhook does: 0 to 65535, no sign. Nothing if it is none. */
export function parsePort(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}

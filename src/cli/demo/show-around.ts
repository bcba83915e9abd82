import { join, relative } from 'node:path';
import { metricsUrl } from './edges.ts';
import type { Mesh } from './mesh.ts';
import type { Screen } from './screen.ts';

/** What there is to try by hand. */
export function showAround(
  screen: Screen,
  { processes, members, ca }: Mesh,
  {
    folder,
    certificateLifetime,
  }: { readonly folder: string; /** Milliseconds. */ readonly certificateLifetime: number },
): void {
  const [frontend, catalog] = members;
  if (frontend === undefined || catalog === undefined) return;
  screen.heading('Look around: it stays up until Ctrl-C');
  const place = relative(folder, processes.folder);
  const settings = `--config ${join(place, 'sealwright.yaml')}`;
  const sealwright = 'npm run -s sealwright --';
  const lines: [string, string][] = [
    ['the whole chain', `curl http://127.0.0.1:${frontend.application.port}/`],
    ['as the frontend', `curl -i -H 'host: ${catalog.service.host}' http://${frontend.address}:15001/products/secret`],
    ['why', `${sealwright} policy explain --to shop/catalog --from shop/frontend --path /products/secret ${settings}`],
    ['why, by its id', `${sealwright} policy explain ${settings} --id X-REQUEST-ID`],
    ['undo the edit', `rm ${join(place, 'resources/deny-secret.yaml')}`],
    ['metrics', `curl ${metricsUrl(catalog)} http://localhost:${processes.caMetricsPort}/metrics`],
    ['identities', `${sealwright} identity list ${settings}`],
    ['logs', `tail -f ${join(place, 'logs/catalog-sidecar.log')}`],
    [
      'without the CA',
      `kill ${ca.pid}   # calls go on while the certificates live: ${certificateLifetime / 1000} s here`,
    ],
  ];
  for (const [what, command] of lines) {
    const [first = '', ...more] = shellLines(command);
    screen.line({ text: `  ${what.padEnd(LABEL)}`, tone: 'dim' }, first);
    for (const line of more) screen.line(`${' '.repeat(LABEL + 4)}${line}`);
  }
}

const LABEL = 17;
/** What is left of a terminal's hundred columns beside the label, and a backslash. */
const ROOM = 76;

/** A command that may be pasted, over as many lines as it needs. */
function shellLines(command: string): string[] {
  if (command.length <= ROOM) return [command];
  const space = command.lastIndexOf(' ', ROOM);
  return [`${command.slice(0, space)} \\`, ...shellLines(command.slice(space + 1))];
}

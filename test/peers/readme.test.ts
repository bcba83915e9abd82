import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { needTool } from '../fakes/external-tool.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { loopbackNet } from '../fakes/loopback-net.ts';
import { PROJECT } from '../structure/sources.ts';
import { requireGrpcurl } from './grpcurl.ts';

const NET = loopbackNet();

/** A port that is free now. The README's own may be taken on the machine that tests. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('the README', () => {
  it('is right, command by command, in an empty folder (slow)', async function () {
    this.timeout(90_000);
    for (const tool of ['openssl', 'curl', 'python3']) needTool(this, tool);
    const grpcurl = requireGrpcurl(this);
    const readme = readFileSync(join(PROJECT, 'README.md'), 'utf8');
    const part = /<!-- by hand: begin -->(.*)<!-- by hand: end -->/s.exec(readme)?.[1] ?? '';
    const commands = [...part.matchAll(/```sh\n(.*?)```/gs)].map((block) => block[1] ?? '');
    assert.ok(commands.length >= 5, 'hardly any command was found');
    const port = await freePort();
    const script = [
      // Jobs are groups of their own, as at a terminal, so that what ends them there has to end them here.
      'set -em',
      `trap 'jobs -p | while read -r group; do kill -- "-$group" || true; done' EXIT`,
      `sealwright() { "${process.execPath}" "$SEALWRIGHT/bin/sealwright.js" "$@"; }`,
      ...commands,
      // Before the trap, which would hide what the README leaves running.
      'for place in 127.0.1.1/15021 127.0.1.2/15021 127.0.0.1/8080 127.0.0.1/9000 "${SEALWRIGHT_CA_LISTEN/://}"; do',
      '  for try in {1..80}; do (: <>"/dev/tcp/$place") 2>/dev/null || { echo stopped; break; }; sleep 0.25; done',
      'done',
    ].join('\n');
    const folder = temporaryFolder(this);
    // The usual places may be taken on the machine that tests; nothing else is changed.
    const [application, shout] = [await freePort(), await freePort()];
    const placed = script
      .replaceAll('localhost:15012', `localhost:${port}`)
      .replaceAll('127.0.1.', `${NET}.`)
      .replaceAll('8080', String(application))
      .replaceAll('9000', String(shout));
    const child = spawn('bash', ['-c', placed], {
      cwd: folder,
      detached: true,
      env: {
        ...process.env,
        SEALWRIGHT: PROJECT,
        SEALWRIGHT_CA_LISTEN: `127.0.0.1:${port}`,
        SEALWRIGHT_CA_METRICS_LISTEN: '127.0.0.1:0',
        CA_ADDR: `localhost:${port}`,
        PATH: `${dirname(grpcurl)}:${process.env['PATH'] ?? ''}`,
      },
    });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    child.stderr.on('data', (data: Buffer) => (output += data.toString()));
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 0, output);
    assert.equal(output.match(/^stopped$/gm)?.length, 5, output);
    assert.match(output, /^identity +spiffe:\/\/cluster\.local\/ns\/shop\/sa\/catalog$/m);
    assert.match(output, /^chain\.pem: OK$/m);
    assert.match(output, /^the ledger is good: /m);
    assert.ok(existsSync(join(folder, 'shop-legacy.p12')));
    // Through both sidecars, by curl with a certificate, by OpenSSL; what comes without one is closed.
    assert.equal(output.match(/^books$/gm)?.length, 5, output);
    assert.match(output, /^HTTP\/1\.[01] 200 /m);
    assert.match(output, /^plaintext: refused$/m);
    assert.match(output, /^no certificate: refused$/m);
    assert.equal(output.match(/^ 200$/gm)?.length, 2, output);
    assert.equal(output.match(/ 403$/gm)?.length, 2, output);
    assert.equal(output.match(/^DENIED: rule 0 of DENY policy shop\/deny-secret matched$/gm)?.length, 2, output);
    assert.match(output, /^rbac_access_denied_matched_policy\[ns\[shop\]-policy\[deny-secret\]-rule\[0\]\]$/m);
    assert.match(output, /^HELLO FROM THE FRONTEND$/m);
    assert.match(output, /^ready: 503$/m);
    assert.match(output, /^istio_requests_total\{.*connection_security_policy="mutual_tls".*\} [12]$/m);
  });

  it('names only files that are there', () => {
    const readme = readFileSync(join(PROJECT, 'README.md'), 'utf8');
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((link) => link[1] ?? '');
    assert.ok(links.length > 5);
    assert.deepEqual(
      links.filter((link) => !existsSync(join(PROJECT, link))),
      [],
    );
  });
});

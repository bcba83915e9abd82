import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { skipNotTested } from '../fakes/not-tested.ts';
import { PROJECT } from '../structure/sources.ts';

/** Where grpcurl is: GRPCURL, then PATH, then the project's own `.cache/bin`. Undefined: this machine has none. */
export function findGrpcurl(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const named = environment['GRPCURL'];
  if (named !== undefined && named !== '') return named;
  const onPath = (environment['PATH'] ?? '').split(':').map((folder) => join(folder, 'grpcurl'));
  return [...onPath, join(PROJECT, '.cache/bin/grpcurl')].find((path) => existsSync(path));
}

/** How to get it, for the sentence that says it is missing. */
export const GRPCURL_INSTALL = 'GOBIN="$PWD/.cache/bin" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4';

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function grpcurl(program: string, args: readonly string[]): Promise<Output> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const { promise, resolve, reject } = Promise.withResolvers<Output>();
  child.on('error', reject);
  child.on('close', (code) => resolve({ code, stdout, stderr }));
  return promise;
}

/** Skips where there is none, loudly; under CI it fails instead, so that a peer is never dropped unnoticed. */
export function requireGrpcurl(context: Mocha.Context): string {
  const program = findGrpcurl();
  if (program !== undefined && spawnSync(program, ['--version']).status === 0) return program;
  return skipNotTested(context, `grpcurl is not on this machine: ${GRPCURL_INSTALL}`);
}

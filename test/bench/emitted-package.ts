import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../structure/sources.ts';

/**
 * Emits the JavaScript that the published package runs, into a folder, and answers its binary. A checkout strips types
 * while it loads, which costs time and memory that users of the package do not pay.
 *
 * @throws what the compiler said
 */
export function emitPackage(folder: string): string {
  const compiler = join(PROJECT, 'node_modules/typescript/bin/tsc');
  const config = join(PROJECT, 'tsconfig.build.json');
  const flags = ['-p', config, '--outDir', join(folder, 'dist'), '--declaration', 'false', '--sourceMap', 'false'];
  const { status, stdout } = spawnSync(process.execPath, [compiler, ...flags], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stdout);
  mkdirSync(join(folder, 'bin'));
  const binary = join(folder, 'bin/sealwright.js');
  copyFileSync(join(PROJECT, 'bin/sealwright.js'), binary);
  copyFileSync(join(PROJECT, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
  return binary;
}

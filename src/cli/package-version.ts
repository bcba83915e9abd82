import { packageRoot } from './package-root.ts';

export function packageVersion(): string {
  return packageRoot().version;
}

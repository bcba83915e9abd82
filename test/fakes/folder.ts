import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new empty folder for the test that runs, removed after it. Call it inside `it` or a `beforeEach`. */
export function temporaryFolder(context: Mocha.Context): string {
  const folder = mkdtempSync(join(tmpdir(), 'sealwright-'));
  const runnable = context.test ?? context.currentTest;
  runnable?.parent?.afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

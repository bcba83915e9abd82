import { Readable } from 'node:stream';
import { run } from '../../src/cli/main.ts';

/** Runs a command line in this process, in a folder. */
export async function runCommand(
  folder: string,
  args: readonly string[],
  input = '',
): Promise<{ code: number; stdout: string; stderr: string }> {
  let [stdout, stderr] = ['', ''];
  const code = await run(args, {
    env: {},
    folder,
    stdin: Readable.from([Buffer.from(input)]),
    stdout: (text) => {
      stdout += text;
      return true;
    },
    onStdoutDrain: () => {},
    stderr: (text) => (stderr += text),
    terminal: false,
    now: Date.now,
  });
  return { code, stdout, stderr };
}

/** Runs one command line and answers its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  process.stderr.write(`unknown command: ${args[0] ?? ''}\n`);
  return 2;
}

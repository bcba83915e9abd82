import { writeFileSync } from 'node:fs';
import { runBench } from './bench-runner.ts';
import { FIGURES } from './figures.ts';

process.exitCode = await runBench(process.argv.slice(2), {
  figures: FIGURES,
  stdout: console.log,
  stderr: console.error,
  writeFile: writeFileSync,
});

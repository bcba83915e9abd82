import { main } from '../main.ts';
import { endWithParent } from './end-with-parent.ts';

// Any command of `sealwright`, as a process of the demo: the same code that a person starts.
endWithParent();
process.exitCode = await main(process.argv.slice(2));

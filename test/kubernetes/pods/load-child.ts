// The application of a test that calls another without a pause, as a process of its own: fifty times a second on kept
// connections and ten times on new ones. Each half second it prints what became of its calls.
import { Agent, request } from 'node:http';

const [url = ''] = process.argv.slice(2);
const kept = new Agent({ keepAlive: true, maxSockets: 4 });

const counts: Record<string, number> = {};
const count = (what: string): void => {
  counts[what] = (counts[what] ?? 0) + 1;
};

function call(agent: Agent | false): void {
  count('sent');
  const asked = request(url, { agent, timeout: 15_000 }, (answer) => {
    answer.resume();
    answer.on('error', (error: NodeJS.ErrnoException) => count(`failed ${error.code ?? error.message}`));
    answer.on('end', () => count(`answered ${answer.statusCode}`));
  });
  asked.on('timeout', () => asked.destroy(new Error('no answer in 15 s')));
  asked.on('error', (error: NodeJS.ErrnoException) => count(`failed ${error.code ?? error.message}`));
  asked.end();
}

setInterval(() => call(kept), 20);
setInterval(() => call(false), 100);
setInterval(() => console.log(JSON.stringify(counts)), 500);

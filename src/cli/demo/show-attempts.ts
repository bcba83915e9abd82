import type { Attempt } from './attempts.ts';
import type { Cell, Screen } from './screen.ts';
import { SERVICES } from './topology.ts';

/** Who called whom, with what answer, and a number for what decided; below, what the numbers stand for. */
export function showMatrix(screen: Screen, attempts: readonly Attempt[], more: readonly Attempt[]): void {
  const decisions = new Map<string, number>();
  const numberOf = ({ decision: { by, detail } }: Attempt): number => {
    const key = `${by}\0${detail}`;
    if (!decisions.has(key)) decisions.set(key, decisions.size + 1);
    return decisions.get(key) ?? 0;
  };
  const callers = [...new Set(attempts.map(({ caller }) => caller))];
  screen.table(
    ['CALLER \\ CALLED', ...SERVICES.map(({ workload }) => workload)],
    callers.map((caller) => [
      caller,
      ...SERVICES.map((service): Cell => {
        const attempt = attempts.find((each) => each.caller === caller && each.to === service);
        return attempt === undefined ? { text: '-', tone: 'dim' } : verdict(attempt, numberOf(attempt));
      }),
    ]),
  );
  screen.line();
  screen.table(
    ['AND SOME MORE', 'CALLED', 'REQUEST', 'ANSWER'],
    more.map((each) => [each.caller, each.to.workload, each.request, verdict(each, numberOf(each))]),
  );
  screen.line();
  screen.table(
    ['', 'DECIDED BY', 'WHERE, OR WHY'],
    [...decisions].map(([key, number]) => {
      const [by = '', detail = ''] = key.split('\0', 2);
      return [`[${number}]`, by, { text: detail, tone: 'dim' }];
    }),
  );
}

function verdict({ outcome, allowed, asMeant, explained }: Attempt, number: number): Cell {
  const { status } = outcome;
  const text = status === undefined ? 'closed' : status === 0 ? 'answered' : String(status);
  const problem = asMeant ? (explained ? '' : ' BUT EXPLAIN DISAGREES') : ' NOT AS MEANT';
  return { text: `${text} [${number}]${problem}`, tone: problem === '' && allowed ? 'good' : 'bad' };
}

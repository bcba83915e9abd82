import { captureRules } from './capture-rules.ts';
import { FAMILIES, type IpFamily } from './ip-family.ts';
import { restoreScript } from './restore-script.ts';
import type { RuleProgram } from './rule-program.ts';
import { must, type RunProgram } from './run-program.ts';

/** Seconds that another program's hold on the tables is waited for. */
const WAIT = '10';

/** By iptables and ip6tables, of whichever variant. Each table changes in one step. */
export const iptables: RuleProgram = {
  install(run, options, families) {
    for (const family of families) {
      restore(run, family, restoreScript(save(run, family), captureRules(options, family)));
    }
  },

  remove(run, families) {
    let removed = false;
    for (const family of families) {
      if (run(`${FAMILIES[family].prefix}-save`, ['--version']).code === undefined) return undefined;
      const script = restoreScript(save(run, family), []);
      if (script === '') continue;
      restore(run, family, script);
      removed = true;
    }
    return removed ? 'removed' : 'nothing';
  },

  describe(options, families) {
    const scripts = families.map((family) => {
      const script = restoreScript('', captureRules(options, family));
      return `${FAMILIES[family].prefix}-restore --noflush <<END\n${script}END\n`;
    });
    return scripts.join('');
  },
};

function save(run: RunProgram, family: IpFamily): string {
  return must(run, `${FAMILIES[family].prefix}-save`, []);
}

function restore(run: RunProgram, family: IpFamily, script: string): void {
  must(run, `${FAMILIES[family].prefix}-restore`, ['--noflush', '--wait', WAIT], script);
}

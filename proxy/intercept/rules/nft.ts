import { NFT_TABLE, nftRules } from './nft-rules.ts';
import type { RuleProgram } from './rule-program.ts';
import { failureOf, isNotPermitted, must } from './run-program.ts';

/** A table that is there, or not, is gone: naming it makes it. */
const REMOVED = `table ${NFT_TABLE}\ndelete table ${NFT_TABLE}\n`;

/** By nftables alone: one table of our own for both families, which changes in one step. */
export const nft: RuleProgram = {
  install(run, options, families) {
    must(run, 'nft', ['-f', '-'], `${REMOVED}${nftRules(options, families)}`);
  },

  remove(run) {
    const listed = run('nft', ['list', 'table', ...NFT_TABLE.split(' ')]);
    if (listed.code === undefined) return undefined;
    if (listed.code !== 0 && isNotPermitted(listed)) throw failureOf('nft', listed);
    // There is no such table, or no nftables in this kernel.
    if (listed.code !== 0) return 'nothing';
    must(run, 'nft', ['-f', '-'], REMOVED);
    return 'removed';
  },

  describe(options, families) {
    return `nft -f - <<END\n${REMOVED}${nftRules(options, families)}END\n`;
  },
};

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { connectionLimit } from '../../src/wire/connection-limit.ts';

const limits = (soft: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units     
Max processes             63432                63432                processes 
Max open files            ${soft.padEnd(20)} 1048576              files     
`;

describe('how many connections a port may hold', () => {
  for (const [soft, expected] of [
    ['1048576', 10_000],
    ['unlimited', 10_000],
    ['4096', 3_776],
    ['1024', 704],
    ['256', 128],
    ['1', 1],
  ] as const) {
    it(`is ${expected} where ${soft} files may be open`, () => assert.equal(connectionLimit(limits(soft)), expected));
  }

  it('is fixed where nobody says how many files may be open', () => assert.equal(connectionLimit(undefined), 10_000));

  it('reads what the kernel writes', function () {
    if (process.platform !== 'linux') this.skip();
    assert.match(readFileSync('/proc/self/limits', 'utf8'), /^Max open files +([0-9]+|unlimited) /m);
  });
});

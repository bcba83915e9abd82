import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { temporaryFolder } from '../../fakes/folder.ts';
import { BINARY } from '../../fakes/running-ca.ts';

/** As on a machine for which the optional package was not installed. */
const WITHOUT_KOFFI = `data:text/javascript,${encodeURIComponent(
  `import { registerHooks } from 'node:module';
   registerHooks({ resolve: (name, context, next) => {
     if (name === 'koffi') throw new Error('no such package');
     return next(name, context);
   } });`,
)}`;

describe('a sidecar that is to intercept, on a machine that cannot', () => {
  const run = (context: Mocha.Context, ...flags: readonly string[]) => {
    const words = ['--import', WITHOUT_KOFFI, BINARY, 'proxy', '--workload', 'shop/catalog', ...flags];
    const options = { cwd: temporaryFolder(context), encoding: 'utf8', timeout: 30_000 } as const;
    return spawnSync(process.execPath, words, options);
  };

  it('ends at once, and says what it lacks', function () {
    const { status, stderr } = run(this, '--interception-mode', 'REDIRECT');
    assert.equal(status, 1, stderr);
    assert.match(stderr, /cannot intercept connections \(reason: "no such package"\); .*koffi.*interceptionMode/);
  });

  it('ends where no rule could name its port', function () {
    const { status, stderr } = run(this, '--interception-mode', 'REDIRECT', '--inbound', ':0');
    assert.equal(status, 2, stderr);
    assert.match(stderr, /proxy\.inbound|--inbound/);
    assert.match(stderr, /no rule can bring connections to/);
  });
});

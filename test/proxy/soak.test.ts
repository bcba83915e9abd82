import { strict as assert } from 'node:assert';
import { loadavg } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { CATALOG_HOST } from '../fakes/catalog-mesh.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { BOOKS_HOST, COPIES, SoakMesh } from './soak-mesh.ts';
import { again, callOnce, echoOnce, keepCalling, keepEchoing, newTally, type Tally } from './steady-load.ts';

/** How long it lasts; `npm run soak` asks for ten minutes. */
const SECONDS = Number(process.env['SOAK_SECONDS'] ?? 15);

/** How long the load runs before memory is looked at, in seconds. */
const WARM_UP = Math.min(30, SECONDS / 3);

/**
 * Seconds: renewed after half of it. The shortest that the CA issues, unless it is restarted meanwhile: on a busy machine that
 * takes seconds, and who cannot renew in the other half has no certificate.
 */
const LIFETIME = SECONDS > 60 ? 40 : 10;
const FLAGS = ['--certificate-ttl', `${LIFETIME}s`, '--concurrency', '2'];

/** Milliseconds between one change of a kind and the next. No two of them go in step. */
const EVERY = { policies: 700, endpoints: 1_900, application: 3_100, ca: 29_000 } as const;

/** Milliseconds between two requests of a loop: the machine is to be busy, not full. */
const PACE = 5;

/** What a sidecar may grow by under load that does not grow, in MiB: the collector is in no hurry. */
const MOST_GROWTH = 48;

describe('a mesh in which everything changes again and again (slow)', function () {
  this.timeout(120_000 + SECONDS * 1_000);
  let soak: SoakMesh;
  before(async function () {
    soak = await SoakMesh.start(temporaryFolder(this), FLAGS);
  });
  after(() => soak.stop());

  it('loses no request and no connection that nobody took from it, and does not grow', async () => {
    const address = soak.mesh.frontAddress;
    const catalog = { address, host: CATALOG_HOST, path: '/books', answer: 'books' };
    const books = { address, host: BOOKS_HOST, path: '/books', answer: 'books' };
    const posted = { ...books, body: 'x'.repeat(64 * 1_024), answer: `${64 * 1_024} bytes` };
    const steady = newTally();
    const moving = newTally();
    const opaque = newTally();
    const end = performance.now() + SECONDS * 1_000;
    const more = (): boolean => performance.now() < end;
    const changes: Record<keyof typeof EVERY, number> = { policies: 0, endpoints: 0, application: 0, ca: 0 };
    const every = async (kind: keyof typeof EVERY, change: (round: number) => unknown): Promise<void> => {
      for (;;) {
        await pause(EVERY[kind]);
        if (!more()) return;
        await change(changes[kind]);
        changes[kind] += 1;
      }
    };
    let atFirst: readonly number[] = [];
    await Promise.all([
      ...Array.from({ length: 3 }, () => keepCalling(catalog, steady, more, PACE)),
      again(steady, more, () => callOnce(catalog)),
      ...Array.from({ length: 3 }, () => keepCalling(books, moving, more, PACE)),
      keepCalling(posted, moving, more, PACE),
      again(moving, more, () => callOnce(books)),
      ...Array.from({ length: 3 }, () => keepEchoing(address, opaque, more, PACE)),
      again(opaque, more, () => echoOnce(address)),
      every('policies', () => soak.changePolicies()),
      every('endpoints', (round) => soak.changeEndpoints(round)),
      every('application', (round) => soak.restartApplication(COPIES[round % 2] ?? 'a')),
      every('ca', () => soak.mesh.restartCa('SIGKILL')),
      pause(WARM_UP * 1_000).then(() => (atFirst = soak.memory())),
    ]);
    const atLast = soak.memory();
    const rotations = soak.sidecars.map(
      ({ log }) => log.filter((record) => record['message'] === 'identity renewed').length,
    );
    const unexplained = (tally: Tally) => tally.failed.filter((failed) => !soak.wasAway(failed));
    const mib = (all: readonly number[]): string => all.map((each) => each.toFixed(0)).join(' ');
    console.log(
      [
        `${SECONDS} s, load ${loadavg()[0]?.toFixed(1)}: ${steady.sent + moving.sent} requests, ${opaque.sent} messages`,
        `${moving.failed.length} failed while an application was away; ${steady.dropped + moving.dropped + opaque.dropped} connections dropped`,
        `${rotations.join(' ')} rotations, ${JSON.stringify(changes)}`,
        `MiB of catalog, front, books-a, books-b: ${mib(atFirst)} after ${WARM_UP} s, ${mib(atLast)} at the end`,
      ]
        .map((line) => `      ${line}`)
        .join('\n'),
    );
    const [odd] = unexplained(moving);
    if (odd !== undefined) {
      const second = odd.time.slice(0, 19);
      console.log(
        soak
          .errors()
          .filter((line) => line.includes(second))
          .slice(-12)
          .join('\n'),
      );
    }
    // Whatever becomes of the books, nobody restarts the catalog.
    for (const { failed, dropped } of [steady, opaque]) assert.deepEqual([failed.slice(0, 3), dropped], [[], 0]);
    assert.deepEqual([unexplained(moving).slice(0, 3), moving.dropped], [[], 0]);
    for (const { sent } of [steady, moving, opaque]) assert.ok(sent > 10 * SECONDS, `${sent} in ${SECONDS} s`);
    const due = Math.floor(SECONDS / (0.6 * LIFETIME)) - 1;
    for (const count of rotations) assert.ok(count >= due, `${count} rotations`);
    for (const { log } of soak.sidecars) {
      assert.deepEqual(
        log.filter(({ message }) => String(message).includes('thread ended')),
        [],
      );
    }
    for (const [index, mebibytes] of atLast.entries()) {
      const before = atFirst[index] ?? 0;
      assert.ok(mebibytes < before + MOST_GROWTH, `from ${before.toFixed(0)} MiB to ${mebibytes.toFixed(0)}`);
    }
  });
});

import { strict as assert } from 'node:assert';
import { UnlabelledSidecars } from '../../../ca/distribution/unlabelled-sidecars.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

describe('warnings of pods that do not say that they have a sidecar', () => {
  it('are so many at once and no more; a pod that was passed over is told of when it comes again', () => {
    const [clock, logger] = [new FakeClock(), new RecordingLogger()];
    const unlabelled = new UnlabelledSidecars({ clock, logger });
    const comes = (index: number): void =>
      unlabelled.saw({ kind: 'Pod', namespace: 'shop', name: `web-${index}`, uid: String(index), labels: {} });
    for (let index = 0; index < 100; index += 1) comes(index);
    assert.equal(logger.lines.length, 20);
    clock.advance(1_000);
    comes(0);
    assert.equal(logger.lines.length, 20, 'it was told of already');
    comes(99);
    assert.equal(logger.lines.at(-1)?.fields['pod'], 'shop/web-99');
    comes(98);
    assert.equal(logger.lines.length, 21);
  });

  it('are kept in mind of so many pods and no more', () => {
    const [clock, logger] = [new FakeClock(), new RecordingLogger()];
    const unlabelled = new UnlabelledSidecars({ clock, logger });
    const comes = (index: number): void => {
      clock.advance(1_000);
      unlabelled.saw({ kind: 'Pod', namespace: 'shop', name: 'web', uid: String(index), labels: {} });
    };
    for (let index = 0; index <= 10_000; index += 1) comes(index);
    comes(10_000);
    assert.equal(logger.lines.length, 10_001);
    comes(0);
    assert.equal(logger.lines.length, 10_002, 'the first was forgotten');
  });
});

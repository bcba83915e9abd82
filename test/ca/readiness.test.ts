import { strict as assert } from 'node:assert';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { createReadiness } from '../../ca/readiness.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import { Health } from '../../src/wire/gen/grpc/health/v1/health_pb.ts';
import { FakeClock } from '../fakes/clock.ts';
import { makeCsrPem } from '../fakes/csr-maker.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { createCertificate, RunningCa } from '../fakes/running-ca.ts';

describe('the readiness of the CA', () => {
  it('is that of its ledger and its certificate, for every service', () => {
    const clock = new FakeClock();
    const expiry = clock.now() + 10_000;
    const ledger: { failure: SealwrightError | undefined } = { failure: undefined };
    const healthy = new Map<string, boolean>();
    const set = (name: string, state: boolean): void => void healthy.set(name, state);
    const parts = { ledger, notAfter: () => expiry, health: { set }, services: ['ca'], clock };
    const readiness = createReadiness(parts);
    const seen = (): unknown[] => [readiness.reason(), ...healthy.values()];
    assert.deepEqual(seen(), [undefined, true, true]);
    ledger.failure = new SealwrightError('ledger_fenced');
    clock.advance(1_000);
    assert.deepEqual(seen(), [ledger.failure.facts.what, false, false]);
    ledger.failure = undefined;
    clock.advance(1_000);
    assert.deepEqual(seen(), [undefined, true, true]);
    clock.advance(8_000);
    assert.deepEqual(seen(), ['the CA certificate has expired', false, false]);
    readiness.close();
    assert.deepEqual(seen(), ['the CA is stopping', false, false]);
  });

  it('ends when the ledger was taken by another writer', async function () {
    const ca = await RunningCa.start(temporaryFolder(this));
    const channel = ca.channel();
    const ready = async (): Promise<number> => (await fetch(`http://127.0.0.1:${ca.metricsPort}/ready`)).status;
    const stream = channel.stream(Health.method.watch);
    stream.send({ service: '' });
    stream.end();
    const responses = stream.responses[Symbol.asyncIterator]();
    assert.equal((await responses.next()).value?.status, 1);
    assert.equal(await ready(), 200);
    const token = await ca.token('a', 'b');
    const other = new DatabaseSync(join(ca.folder, 'ca/ledger.db'));
    other.exec('UPDATE state SET epoch = epoch + 1');
    other.close();
    await assert.rejects(createCertificate(channel, { csr: makeCsrPem(), token }));
    assert.equal((await responses.next()).value?.status, 2);
    assert.equal(await ready(), 503);
    stream.cancel();
    await assert.rejects(responses.next());
    channel.close();
    await ca.stop();
  });
});

import { strict as assert } from 'node:assert';
import { SidecarProcess, type SidecarProcessParts } from '../../proxy/sidecar-process.ts';
import type { SidecarConfig } from '../../proxy/agent/sidecar-config.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { FakeClock } from '../fakes/clock.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { loopbackNet } from '../fakes/loopback-net.ts';
import { httpCall } from './http-call.ts';
import { sidecarConfig, TestConfig, workload } from './sidecar-world.ts';

const PORTS = { status: 15_020, ready: 15_021 };

describe('a sidecar as a process', () => {
  let address: string;
  let clock: FakeClock;
  let logger: RecordingLogger;
  let config: TestConfig;
  let parts: SidecarProcessParts;
  let sidecar: { problems: SealwrightError[]; open: { inbound: number; outbound: number }; closed: number };
  let alive: boolean;
  let small: boolean;
  let running: SidecarProcess | undefined;

  beforeEach(function () {
    address = `${loopbackNet()}.1`;
    [clock, logger, config, alive] = [new FakeClock(), new RecordingLogger(), new TestConfig(undefined), false];
    small = false;
    sidecar = { problems: [], open: { inbound: 0, outbound: 0 }, closed: 0 };
    parts = {
      settings: {
        status: { host: undefined, port: PORTS.status },
        ready: { host: undefined, port: PORTS.ready },
        drainDuration: 1_000,
        terminationDrainDuration: 5_000,
      },
      folder: temporaryFolder(this),
      onCluster: false,
      decisions: undefined,
      agent: {
        current: () => config.current(),
        onChange: (listener) => config.onChange(listener),
        status: {
          connected: true,
          configuration: 'stream',
          types: [],
          identity: undefined,
          problem: undefined,
        },
        // There is a certificate from the first.
        identity: { current: () => ({}), onChange: () => () => undefined },
        close: async () => {},
      },
      sidecar: Object.assign(sidecar, {
        applied: Promise.resolve(),
        draining: false,
        drain: async () => {},
        endInbound: async () => {},
        close: async () => {
          sidecar.closed += 1;
        },
      }),
      metrics: createMetrics({ processMetrics: false }),
      clock,
      logger,
      version: 'test',
      stayAlive: () => {
        alive = true;
        return () => (alive = false);
      },
      keepMemorySmall: () => {
        small = true;
        return () => (small = false);
      },
      listeningPrograms: undefined,
    };
  });

  afterEach(() => running?.stop());

  const configured = (): SidecarConfig =>
    sidecarConfig({ workload: workload({ name: 'catalog', address }), rootsPem: '' });
  const page = (port: number, path: string): Promise<number> =>
    httpCall(address, port, { path }).then(({ status }) => status);
  const gone = async (): Promise<void> => {
    for (const port of Object.values(PORTS)) await assert.rejects(page(port, '/'), { code: 'ECONNREFUSED' });
  };

  it('waits for its first configuration, then serves its pages at the address of the workload', async () => {
    running = new SidecarProcess(parts);
    assert.equal(alive, true);
    await gone();
    config.set(configured());
    await eventually(() => logger.text.includes('the sidecar serves'));
    assert.equal(await page(PORTS.status, '/stats/prometheus'), 200);
    assert.equal(small, true);
    await running.stop();
    await running.ended;
    await gone();
    assert.deepEqual([alive, small, sidecar.closed], [false, false, 1]);
  });

  it('leaves nothing open that would keep it alive where it is stopped in the midst of its start', async () => {
    // However far the start has come by then.
    for (let turns = 0; turns < 6; turns += 1) {
      config = new TestConfig(undefined);
      running = new SidecarProcess(parts);
      config.set(configured());
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      await running.stop();
      await running.ended;
      // What was being opened is closed once it is open.
      await eventually(() =>
        gone().then(
          () => true,
          () => false,
        ),
      );
      assert.equal(alive, false);
    }
  });

  it('ends with the reason where a listener of the first configuration cannot be opened', async () => {
    sidecar.problems = [new SealwrightError('port_held', { address, port: 8080 })];
    config.set(configured());
    running = new SidecarProcess(parts);
    await assert.rejects(running.ended, { code: 'port_held' });
    await gone();
    assert.equal(alive, false);
  });

  it('waits for open connections, but not for ever, and says which it breaks off', async () => {
    config.set(configured());
    running = new SidecarProcess(parts);
    await eventually(() => logger.text.includes('the sidecar serves'));
    sidecar.open = { inbound: 1, outbound: 0 };
    const asked: string[] = [];
    Object.assign(sidecar, {
      refresh: async () => void asked.push('everything'),
      countOpen: async () => void asked.push('connections'),
    });
    const stopped = running.stop();
    await eventually(() => clock.waits(50));
    assert.deepEqual([...new Set(asked)], ['connections']);
    assert.equal(sidecar.closed, 0);
    clock.advance(5_050);
    await stopped;
    assert.equal(sidecar.closed, 1);
    assert.match(logger.text, /connections are broken off.*"inbound":1/);
  });
});

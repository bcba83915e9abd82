import { strict as assert } from 'node:assert';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Channel } from '../../src/wire/grpc-client.ts';
import { implementService } from '../../src/wire/grpc-service.ts';
import { bearerToken, clusterId } from '../../src/wire/server-call.ts';
import type { ServerCall } from '../../src/wire/server-call.ts';
import { IstioCertificateService, ReportService } from '../../src/wire/services.ts';
import type { Harness } from './grpc-harness.ts';
import { startHarness } from './grpc-harness.ts';

const { createCertificate } = IstioCertificateService.method;

describe('a gRPC service', () => {
  let harness: Harness;
  let channel: Channel;
  let answer: (csr: string, call: ServerCall) => Promise<string[]>;
  let stopped: (reason: string) => void;

  before(async () => {
    const ca = implementService(IstioCertificateService, {
      createCertificate: async (request, call) => ({ certChain: await answer(request.csr, call) }),
    });
    const report = implementService(ReportService, {
      report: async (stream) => {
        for await (const request of stream.requests) {
          if (request.software === 'refuse me') throw new SealwrightError('duration_invalid', { got: 'x' });
          if (request.software === 'flood me') {
            for (let index = 0; index < 2_000 && !stream.call.signal.aborted; index += 1) {
              if (!stream.send({ received: BigInt(index) })) await stream.drained();
            }
          }
          stream.send({ received: request.sequence });
          if (request.software === 'finish') return;
        }
        stopped(stream.call.signal.aborted ? 'aborted' : 'ended');
      },
    });
    harness = await startHarness({ services: [ca, report] });
    channel = harness.channel();
  });
  after(() => harness.close());

  it('answers a unary call', async () => {
    answer = async (csr) => [`signed ${csr}`];
    const response = await channel.unary(createCertificate, { csr: 'abc' });
    assert.deepEqual(response.certChain, ['signed abc']);
  });

  it('shows a handler the headers, the deadline and who calls', async () => {
    let seen: unknown[] = [];
    answer = async (_, call) => {
      const { peer } = call;
      seen = [bearerToken(call), clusterId(call), peer.transport, peer.remoteAddress, peer.chain, call.method];
      assert.ok(call.deadline !== undefined && call.deadline > Date.now() && call.deadline <= Date.now() + 5_000);
      return [];
    };
    const headers = { authorization: 'bearer  a.b.c', clusterid: 'Kubernetes' };
    await channel.unary(createCertificate, {}, { headers, timeout: 5_000 });
    const method = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
    assert.deepEqual(seen, ['a.b.c', 'Kubernetes', 'tls', '127.0.0.1', undefined, method]);
    answer = async (_, call) => [String(call.deadline), String(bearerToken(call)), String(clusterId(call))];
    assert.deepEqual((await channel.unary(createCertificate, {})).certChain, ['undefined', 'undefined', 'undefined']);
  });

  it('takes no token from a header that is not exactly one bearer', () => {
    const token = (...values: string[]): string | undefined => bearerToken({ header: () => values });
    assert.equal(token('Bearer x', 'Bearer y'), undefined);
    assert.equal(token('Basic x'), undefined);
    assert.equal(token('Bearer x y'), undefined);
    assert.equal(token('Bearer '), undefined);
    assert.equal(token('Bearer x'), 'x');
  });

  it('maps an error of the table to its gRPC status and says its code in a trailer', async () => {
    answer = async () => {
      throw new SealwrightError('spiffe_id_invalid', { got: 'spiffe://\ud800' });
    };
    await assert.rejects(channel.unary(createCertificate, {}), (error) => {
      assert.ok(error instanceof SealwrightError);
      assert.equal(error.code, 'ca_refused');
      assert.equal(error.fields['status'], 'INVALID_ARGUMENT');
      assert.equal(error.fields['reason'], 'spiffe_id_invalid');
      assert.match(String(error.fields['message']), /^not a SPIFFE ID/);
      return true;
    });
  });

  it('tells nobody outside what went wrong inside, and logs it', async () => {
    answer = async () => {
      throw new Error('password is swordfish');
    };
    await assert.rejects(channel.unary(createCertificate, {}), (error) => {
      assert.ok(error instanceof SealwrightError);
      assert.equal(error.fields['status'], 'INTERNAL');
      assert.equal(error.fields['message'], 'internal error');
      return true;
    });
    assert.match(harness.logger.text, /a call failed inside.*CreateCertificate/);
  });

  it('replaces the sentence where a protocol fixes it', async () => {
    const service = implementService(
      IstioCertificateService,
      {
        createCertificate: async () => {
          throw new SealwrightError('spiffe_id_invalid');
        },
      },
      { statusMessage: () => 'request authenticate failure \udfff' },
    );
    const other = await startHarness({ services: [service] });
    try {
      await assert.rejects(other.channel().unary(createCertificate, {}), /request authenticate failure/);
    } finally {
      await other.close();
    }
  });

  it('refuses a request that is too large or is no message', async () => {
    answer = async () => assert.fail('the handler was asked');
    await assert.rejects(channel.unary(createCertificate, { csr: 'x'.repeat(70_000) }), /request_too_large/);
    // Field 1 as a varint where the service has text, and text that is no UTF-8.
    const wrong = { ...createCertificate, input: ReportService.method.report.input } as const;
    await assert.rejects(
      channel.unary(wrong, { sequence: 7n, dropped: 2n ** 60n, software: 'x' }),
      /request_unreadable/,
    );
    const huge = { csr: 'x'.repeat(5 * 1024 * 1024) };
    await assert.rejects(channel.unary(createCertificate, huge), /RESOURCE_EXHAUSTED/);
  });

  it('answers UNIMPLEMENTED for a method without a handler', async () => {
    const other = await startHarness({ services: [implementService(IstioCertificateService, {})] });
    try {
      await assert.rejects(other.channel().unary(createCertificate, {}), /UNIMPLEMENTED/);
    } finally {
      await other.close();
    }
  });

  it('gives up at the deadline and tells the handler', async () => {
    const told: Promise<void>[] = [];
    answer = async (_, call) => {
      const aborted = new Promise<void>((resolve) => {
        if (call.signal.aborted) resolve();
        else call.signal.addEventListener('abort', () => resolve());
      });
      told.push(aborted);
      await aborted;
      return [];
    };
    // gRPC counts in real time, and on a busy machine the deadline may pass before the call has reached the handler.
    for (let timeout = 100; told.length === 0; timeout *= 2) {
      await assert.rejects(channel.unary(createCertificate, {}, { timeout }), /ca_unreachable|DEADLINE_EXCEEDED/);
    }
    await Promise.all(told);
  });

  it('tells the handler when the caller went away', async () => {
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    const { promise: started, resolve: start } = Promise.withResolvers<void>();
    answer = async (_, call) => {
      call.signal.addEventListener('abort', () => resolve());
      start();
      await aborted;
      return [];
    };
    const controller = new AbortController();
    const call = channel.unary(createCertificate, {}, { signal: controller.signal });
    await started;
    controller.abort();
    await assert.rejects(call, { code: 'call_cancelled' });
    await aborted;
    await assert.rejects(channel.unary(createCertificate, {}, { signal: controller.signal }), {
      code: 'call_cancelled',
    });
  });

  it('does not abort a call that ended well', async () => {
    let signal: AbortSignal | undefined;
    answer = async (_, call) => {
      signal = call.signal;
      return [];
    };
    await channel.unary(createCertificate, {});
    await channel.unary(createCertificate, {});
    assert.equal(signal?.aborted, false);
  });

  it('streams both ways until the caller ends', async () => {
    const { promise: end, resolve } = Promise.withResolvers<string>();
    stopped = resolve;
    const stream = channel.stream(ReportService.method.report);
    stream.send({ sequence: 1n });
    stream.send({ sequence: 2n });
    stream.end();
    const received: bigint[] = [];
    for await (const response of stream.responses) received.push(response.received);
    assert.deepEqual(received, [1n, 2n]);
    assert.equal(await end, 'ended');
  });

  it('ends a stream when the handler returns', async () => {
    const stream = channel.stream(ReportService.method.report);
    stream.send({ sequence: 9n, software: 'finish' });
    const received: bigint[] = [];
    for await (const response of stream.responses) received.push(response.received);
    assert.deepEqual(received, [9n]);
    assert.equal(stream.send({}), false);
  });

  it('ends a stream with the error of the table that the handler threw', async () => {
    const stream = channel.stream(ReportService.method.report);
    stream.send({ software: 'refuse me' });
    await assert.rejects(stream.responses[Symbol.asyncIterator]().next(), /duration_invalid/);
  });

  it('tells the handler of a stream when the caller cancelled it', async () => {
    const { promise: end, resolve } = Promise.withResolvers<string>();
    stopped = resolve;
    const stream = channel.stream(ReportService.method.report);
    stream.send({ sequence: 1n });
    const iterator = stream.responses[Symbol.asyncIterator]();
    assert.equal((await iterator.next()).value?.received, 1n);
    stream.cancel();
    await assert.rejects(iterator.next(), { code: 'call_cancelled' });
    assert.equal(await end, 'aborted');
  });

  it('lets a handler wait while the caller does not read', async () => {
    const stream = channel.stream(ReportService.method.report);
    stream.send({ sequence: 5n, software: 'flood me' });
    stream.end();
    let count = 0;
    for await (const response of stream.responses) {
      count += 1;
      if (count <= 2_000) assert.equal(response.received, BigInt(count - 1));
    }
    assert.equal(count, 2_001);
  });
});

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { EMPTY_ENTRY, type AccessEntry } from '../../../proxy/report/access-entry.ts';
import { AccessLog } from '../../../proxy/report/access-log.ts';
import { formatAccessEntry } from '../../../proxy/report/format-access-entry.ts';
import { redactTarget } from '../../../proxy/http1/redact-target.ts';
import { FakeClock } from '../../fakes/clock.ts';

const ENTRY: AccessEntry = {
  ...EMPTY_ENTRY,
  startTime: Date.parse('2026-01-02T03:04:05.678Z'),
  method: 'GET',
  path: '/books?a=1',
  protocol: 'HTTP/1.1',
  responseCode: 200,
  responseCodeDetails: 'via_upstream',
  bytesReceived: 1,
  bytesSent: 5,
  duration: 3.4,
  userAgent: 'curl/8 "x"',
  authority: 'catalog:80',
  upstreamHost: '127.0.0.1:8080',
  upstreamCluster: 'inbound|8080||',
  downstreamRemoteAddress: '127.0.1.1:4000',
  sourcePrincipal: 'spiffe://cluster.local/ns/shop/sa/front',
};

describe('the access log', () => {
  it("writes Istio's JSON fields, and the two identities", () => {
    const line = JSON.parse(formatAccessEntry(ENTRY, 'json')) as Record<string, unknown>;
    assert.deepEqual(Object.keys(line), [
      'start_time',
      'method',
      'path',
      'protocol',
      'response_code',
      'response_flags',
      'response_code_details',
      'connection_termination_details',
      'upstream_transport_failure_reason',
      'bytes_received',
      'bytes_sent',
      'duration',
      'upstream_service_time',
      'x_forwarded_for',
      'user_agent',
      'request_id',
      'authority',
      'upstream_host',
      'upstream_cluster',
      'upstream_local_address',
      'downstream_local_address',
      'downstream_remote_address',
      'requested_server_name',
      'route_name',
      'source_principal',
      'destination_principal',
    ]);
    assert.equal(line['start_time'], '2026-01-02T03:04:05.678Z');
    assert.equal(line['duration'], 3);
    assert.equal(line['request_id'], null);
    assert.equal(line['source_principal'], 'spiffe://cluster.local/ns/shop/sa/front');
  });

  it("writes Istio's text format", () => {
    assert.equal(
      formatAccessEntry(ENTRY, 'text'),
      '[2026-01-02T03:04:05.678Z] "GET /books?a=1 HTTP/1.1" 200 - via_upstream - "-" 1 5 3 - "-" "curl/8 \\"x\\"" "-" ' +
        '"catalog:80" "127.0.0.1:8080" inbound|8080|| - - 127.0.1.1:4000 - -\n',
    );
  });

  it('costs little, whatever a peer sent', () => {
    const long = 60_000;
    const began = performance.now();
    for (const piece of ['eyJ', 'eyJaaaaa.', 'eyJaaaaaaaaa.', '?token=', '?token=eyJ', '%0a']) {
      const sent = `/${piece.repeat(long / piece.length)}`;
      const line = formatAccessEntry({ ...ENTRY, path: sent, userAgent: sent, requestId: sent }, 'json');
      assert.ok(line.length < 20_000, `${line.length} characters`);
    }
    // One of them took five seconds before.
    assert.ok(performance.now() - began < 1_000);
  });

  it('obeys nobody in a terminal', () => {
    const sent = '\u009b2J\u007f\u0085';
    for (const format of ['json', 'text'] as const) {
      const line = formatAccessEntry({ ...ENTRY, userAgent: sent, authority: sent }, format);
      // eslint-disable-next-line no-control-regex -- control characters are what must not be there
      assert.doesNotMatch(line.slice(0, -1), /[\u0000-\u001f\u007f-\u009f]/);
    }
  });

  it('is one line, whatever a peer sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom<'json' | 'text'>('json', 'text'), (sent, format) => {
        const fields = { path: sent, userAgent: sent, authority: sent, responseCodeDetails: sent, requestId: sent };
        const line = formatAccessEntry({ ...ENTRY, ...fields }, format);
        assert.equal(line.indexOf('\n'), line.length - 1);
        // eslint-disable-next-line no-control-regex -- control characters are what must not be there
        assert.doesNotMatch(line.slice(0, -1), /[\u0000-\u001f\u007f]/);
      }),
    );
  });

  it('holds no credential that came in a request target (invariant 2)', () => {
    const jwt = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';
    assert.equal(redactTarget('/a?b=1&access_token=secret&c=2'), '/a?b=1&access_token=[redacted]&c=2');
    assert.equal(redactTarget(`/a?any=${jwt}`), '/a?any=[redacted]');
    assert.equal(redactTarget(`/verify/${jwt}/now`), '/verify/[redacted]/now');
    assert.equal(redactTarget('/a?Token=x;api_key=y'), '/a?Token=[redacted];api_key=[redacted]');
    assert.equal(redactTarget('/tokens/7?page=2'), '/tokens/7?page=2');
    for (const field of ['userAgent', 'requestId', 'forwardedFor', 'authority'] as const) {
      assert.ok(!formatAccessEntry({ ...ENTRY, [field]: `x ${jwt}` }, 'json').includes(jwt), field);
    }
    assert.doesNotMatch(formatAccessEntry({ ...ENTRY, path: `/?jwt=${jwt}` }, 'json'), /eyJ/);
  });

  describe('as it is written', () => {
    const open = (mode: 'off' | 'errors' | 'all') => {
      const clock = new FakeClock();
      const written: string[] = [];
      const state = { taking: true, drained: (): void => {}, dropped: 0, counted: 0 };
      const log = new AccessLog({
        mode,
        format: 'json',
        clock,
        write: (lines, count) => {
          state.counted += count;
          written.push(lines);
          return state.taking;
        },
        onDrain: (listener) => (state.drained = listener),
        dropped: { add: (lines = 1) => (state.dropped += lines) },
      });
      return { log, clock, written, state };
    };

    it('is wanted by mode', () => {
      const wants = (mode: 'off' | 'errors' | 'all') => [true, false].map((failed) => open(mode).log.wants({ failed }));
      assert.deepEqual(
        [wants('off'), wants('errors'), wants('all')],
        [
          [false, false],
          [true, false],
          [true, true],
        ],
      );
    });

    it('gathers lines and writes them together', () => {
      const { log, clock, written, state } = open('all');
      for (let count = 0; count < 3; count += 1) log.write(ENTRY);
      assert.equal(written.length, 0);
      clock.advance(100);
      assert.equal(written.length, 1);
      assert.equal(written[0]?.split('\n').length, 4);
      assert.equal(state.counted, 3);
      assert.equal(clock.nextDue, undefined);
    });

    it('counts what nobody has taken when it ends', () => {
      const { log, clock, written, state } = open('all');
      log.write(ENTRY);
      log.close();
      assert.deepEqual([written.length, state.dropped], [1, 0]);
      state.taking = false;
      log.write(ENTRY);
      clock.advance(100);
      for (let count = 0; count < 3; count += 1) log.write(ENTRY);
      log.close();
      assert.deepEqual([written.length, state.dropped], [2, 3]);
    });

    it('stops at a megabyte while nobody takes it, counts what it loses, and goes on afterwards', () => {
      const { log, clock, written, state } = open('all');
      state.taking = false;
      log.write(ENTRY);
      clock.advance(100);
      assert.equal(written.length, 1);
      for (let count = 0; count < 5_000; count += 1) log.write(ENTRY);
      clock.advance(10_000);
      assert.equal(written.length, 1);
      assert.ok(state.dropped > 2_000 && state.dropped < 5_000, String(state.dropped));
      state.taking = true;
      state.drained();
      assert.ok((written[1]?.length ?? 0) <= 1024 * 1024);
      log.write(ENTRY);
      clock.advance(100);
      assert.equal(written.length, 3);
    });
  });
});

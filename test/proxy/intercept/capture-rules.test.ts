import { strict as assert } from 'node:assert';
import type { CaptureOptions } from '../../../proxy/intercept/rules/capture-options.ts';
import { captureRules } from '../../../proxy/intercept/rules/capture-rules.ts';
import { restoreScript } from '../../../proxy/intercept/rules/restore-script.ts';

const DEFAULTS: CaptureOptions = {
  mode: 'REDIRECT',
  inboundPort: 15_006,
  outboundPort: 15_001,
  proxyUids: [1337],
  proxyGids: [1337],
  inboundPorts: '*',
  excludeInboundPorts: [15_020, 15_021],
  outboundRanges: '*',
  excludeOutboundRanges: [],
  outboundPorts: [],
  excludeOutboundPorts: [],
};

describe('the rules of interception', () => {
  const rulesOf = (options: Partial<CaptureOptions>, family: 'IPv4' | 'IPv6' = 'IPv4'): readonly string[] =>
    captureRules({ ...DEFAULTS, ...options }, family).flatMap(({ rules }) => rules);

  it('never touch what is not TCP, nor do more in chains of the kernel than lead to ours', () => {
    for (const mode of ['REDIRECT', 'TPROXY'] as const) {
      for (const rule of rulesOf({ mode })) {
        if (/^-A (?:PREROUTING|OUTPUT) /.test(rule)) assert.match(rule, /^-A \S+ -p tcp -j ISTIO_(?:INBOUND|OUTPUT)$/);
        assert.doesNotMatch(rule, /udp/);
      }
    }
  });

  it('let nothing but the sidecar’s own by, in the order that decides', () => {
    const output = rulesOf({}).filter((rule) => rule.startsWith('-A ISTIO_OUTPUT'));
    const at = (text: string): number => output.findIndex((rule) => rule.includes(text));
    assert.equal(at('-j ISTIO_REDIRECT'), output.length - 1);
    assert.ok(at('-s 127.0.0.6/32 -o lo') < at('-j ISTIO_IN_REDIRECT'));
    // Whoever is in the group but another user is the sidecar too: no rule for the one may come before the other's.
    const last = output.findLastIndex((rule) => rule.includes('-j ISTIO_IN_REDIRECT'));
    const own = output.findIndex((rule) => /-o lo -m owner ! --uid-owner 1337 -m owner ! --gid-owner 1337/.test(rule));
    assert.equal(own, last + 1);
  });

  it('are for the ports and ranges that were asked for, each in its family', () => {
    const options = {
      inboundPorts: [8080],
      outboundRanges: ['10.0.0.0/8', 'fd00::/8'],
      excludeOutboundRanges: ['10.1.0.0/16', 'fd01::/16'],
      excludeOutboundPorts: [5432],
      outboundPorts: [80],
    };
    const [v4, v6] = [rulesOf(options).join('\n'), rulesOf(options, 'IPv6').join('\n')];
    for (const [rules, own, other] of [
      [v4, '10.', 'fd0'],
      [v6, 'fd0', '10.'],
    ] as const) {
      assert.match(rules, /-A ISTIO_INBOUND -p tcp --dport 8080 -j ISTIO_IN_REDIRECT/);
      assert.doesNotMatch(rules, /-A ISTIO_INBOUND -p tcp -j/);
      assert.match(rules, /-p tcp --dport 5432 -j RETURN/);
      assert.ok(rules.includes(`-d ${own}`) && !rules.includes(`-d ${other}`));
      assert.ok(
        rules.search(/-d (?:10\.1|fd01)\S+ -j RETURN/) < rules.search(/-d (?:10\.0|fd00)\S+ -j ISTIO_REDIRECT/),
      );
    }
  });

  describe('are set by a script', () => {
    const standing = [
      '*nat',
      ':PREROUTING ACCEPT [0:0]',
      ':KUBE-SERVICES - [0:0]',
      ':ISTIO_OUTPUT - [0:0]',
      ':ISTIO_OLD - [0:0]',
      '-A PREROUTING -m comment --comment "to -j ISTIO_NOWHERE" -j KUBE-SERVICES',
      '-A OUTPUT -p tcp -j ISTIO_OUTPUT',
      '-A KUBE-SERVICES -g ISTIO_OUTPUT',
      '-A ISTIO_OUTPUT -j RETURN',
      'COMMIT',
      '*mangle',
      ':ISTIO_DIVERT - [0:0]',
      '-A ISTIO_DIVERT -j ACCEPT',
      'COMMIT',
      '*filter',
      '-A INPUT -j DROP',
      'COMMIT',
      '',
    ].join('\n');

    it('that takes away what is ours, and names nothing else', () => {
      assert.deepEqual(restoreScript(standing, []).trim().split('\n'), [
        '*mangle',
        '-F ISTIO_DIVERT',
        '-X ISTIO_DIVERT',
        'COMMIT',
        '*nat',
        '-D OUTPUT -p tcp -j ISTIO_OUTPUT',
        '-D KUBE-SERVICES -g ISTIO_OUTPUT',
        '-F ISTIO_OUTPUT',
        '-X ISTIO_OUTPUT',
        'COMMIT',
      ]);
    });

    it('that is empty where nothing of ours stands and nothing is wanted', () => {
      assert.equal(restoreScript('*filter\n-A INPUT -j DROP\nCOMMIT\n', []), '');
      assert.equal(restoreScript('', []), '');
    });

    it('that puts the new in place of the old in one step', () => {
      const script = restoreScript(standing, captureRules(DEFAULTS, 'IPv4'));
      const nat = script.slice(script.indexOf('*nat'));
      assert.ok(nat.indexOf(':ISTIO_OUTPUT - [0:0]') < nat.indexOf('-D OUTPUT -p tcp -j ISTIO_OUTPUT'));
      assert.ok(nat.indexOf('-D OUTPUT -p tcp -j ISTIO_OUTPUT') < nat.indexOf('-A OUTPUT -p tcp -j ISTIO_OUTPUT'));
      assert.equal(nat.match(/COMMIT/g)?.length, 1);
      assert.match(script, /\*mangle\n-F ISTIO_DIVERT\n-X ISTIO_DIVERT\nCOMMIT/);
    });
  });
});

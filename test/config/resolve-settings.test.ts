import { strict as assert } from 'node:assert';
import { formatIssue } from '../../src/core/issue.ts';
import { resolveSettings, type SettingsInput } from '../../src/config/resolve-settings.ts';
import { SETTING_ROWS } from '../../src/config/settings-rows.ts';
import { Unreadable } from '../../src/config/setting.ts';

const resolve = (input: Partial<SettingsInput> & { text?: string }) => {
  const { text, ...given } = input;
  const file = text === undefined ? {} : { file: { name: '/srv/mesh/sealwright.yaml', text } };
  return resolveSettings({ flags: {}, env: {}, ...file, ...given });
};

/** The findings as lines; fails where there are none. */
const refusals = (input: Parameters<typeof resolve>[0]): string[] => {
  const { settings, issues } = resolve(input);
  assert.equal(settings, undefined);
  return issues.map(formatIssue);
};

describe('the settings of a process', () => {
  it('are the defaults where nothing is said', () => {
    const { settings, issues } = resolve({});
    assert.ok(settings);
    assert.deepEqual(issues, []);
    assert.equal(settings.trustDomain, 'cluster.local');
    assert.equal(settings.rootNamespace, 'sealwright-system');
    assert.deepEqual(settings.ca.listen, { host: '127.0.0.1', port: 15012 });
    assert.equal(settings.ca.ttl.default, 24 * 3_600_000);
    assert.equal(settings.ca.ttl.max, 2160 * 3_600_000);
    assert.deepEqual(settings.ca.auth.audiences, ['istio-ca']);
    assert.deepEqual(settings.proxy.caAddress, { host: 'localhost', port: 15012 });
    assert.equal(settings.proxy.workload, undefined);
    assert.ok(
      Object.isFrozen(settings) && Object.isFrozen(settings.ca.ttl) && Object.isFrozen(settings.ca.auth.audiences),
    );
  });

  it('come from flags before variables before the file, and remember from where', () => {
    const text = 'trustDomain: from.file\nrootNamespace: file\nca:\n  ttl:\n    default: 1h\n';
    const env = { SEALWRIGHT_TRUST_DOMAIN: 'from.env', SEALWRIGHT_ROOT_NAMESPACE: 'env' };
    const resolved = resolve({ text, env, flags: { 'trust-domain': 'from.flag' } });
    assert.ok(resolved.settings);
    const { settings, sources } = resolved;
    assert.equal(settings.trustDomain, 'from.flag');
    assert.equal(settings.rootNamespace, 'env');
    assert.equal(settings.ca.ttl.default, 3_600_000);
    assert.deepEqual(sources.get('trustDomain'), { kind: 'flag', name: '--trust-domain' });
    assert.deepEqual(sources.get('rootNamespace'), { kind: 'variable', name: 'SEALWRIGHT_ROOT_NAMESPACE' });
    assert.deepEqual(sources.get('ca.ttl.default'), {
      kind: 'file',
      name: '/srv/mesh/sealwright.yaml',
      line: 5,
      column: 5,
    });
    assert.deepEqual(sources.get('ca.ttl.max'), { kind: 'default' });
  });

  it("come from Istio's variables too, after our own", () => {
    const env = { CA_ADDR: 'ca.example:1', CA_ROOT_CA: '/etc/root.pem' };
    assert.deepEqual(resolve({ env }).settings?.proxy.caAddress, { host: 'ca.example', port: 1 });
    assert.equal(resolve({ env }).settings?.proxy.caRoot, '/etc/root.pem');
    const both = resolve({ env: { ...env, SEALWRIGHT_CA_ADDRESS: 'ours:2' } });
    assert.deepEqual(both.settings?.proxy.caAddress, { host: 'ours', port: 2 });
  });

  it('have the defaults of a pod inside one', () => {
    const { settings } = resolve({ env: { KUBERNETES_SERVICE_HOST: '10.0.0.1' }, text: 'ca: {}' });
    assert.deepEqual(settings?.proxy.caAddress, { host: 'sealwright-ca.sealwright-system.svc', port: 15012 });
    assert.equal(settings.proxy.caRoot, './var/run/secrets/istio/root-cert.pem');
    assert.deepEqual(settings.ca.listen, { host: undefined, port: 15012 });
    assert.equal(settings.ca.auth.tokenReview.enabled, true);
  });

  it('have no relative path where the folder of the command is known, whichever setting it is', () => {
    const paths = SETTING_ROWS.filter(({ setting }) => setting.type === 'path');
    assert.ok(paths.length >= 7);
    const flags = Object.fromEntries(paths.map(({ flag }) => [flag, 'some/place']));
    const { settings } = resolve({ flags, folder: '/home/me', text: 'ca: { auth: { issuer: https://issuer } }' });
    assert.ok(settings);
    for (const { steps, key } of paths) {
      let value: unknown = settings;
      for (const step of steps) value = Object.entries(value as object).find(([name]) => name === step)?.[1];
      assert.equal(value, '/home/me/some/place', key);
    }
    assert.equal(resolve({ folder: '/home/me' }).settings?.resources, '/home/me/resources');
    const beside = resolve({ folder: '/home/me', text: 'resources: here' });
    assert.equal(beside.settings?.resources, '/srv/mesh/here');
  });

  it('have paths beside the file that names them, but those of flags and variables as they are', () => {
    const { settings } = resolve({
      text: 'ca:\n  auth:\n    jwksFile: keys.json\n    issuer: https://i\nproxy:\n  tokenFile: /abs/token\n',
      flags: { 'ca-state': 'here/ca' },
      env: { SEALWRIGHT_CA_ROOT: 'root.pem' },
    });
    assert.equal(settings?.ca.auth.jwksFile, '/srv/mesh/keys.json');
    assert.equal(settings.resources, '/srv/mesh/resources');
    assert.equal(settings.ca.state, 'here/ca');
    assert.equal(settings.proxy.caRoot, 'root.pem');
    assert.equal(settings.proxy.tokenFile, '/abs/token');
  });

  it('take lists from the file as YAML and elsewhere by commas, and truth values from a bare flag', () => {
    const text = 'ca:\n  serverNames:\n    - a.example\n    - 10.0.0.1\n';
    const { settings } = resolve({ text, flags: { 'key-in-memory': true, 'ca-auth-audiences': 'a, b,' } });
    assert.deepEqual(settings?.ca.serverNames, ['a.example', '10.0.0.1']);
    assert.deepEqual(settings.ca.auth.audiences, ['a', 'b']);
    assert.equal(settings.proxy.keyInMemory, true);
  });

  it('say file, line, field and remedy of each unknown key and bad value at once', () => {
    const text = 'trustDoman: x\nca:\n  lsten: a\n  ttl: 4\n  metrics:\n    listen: nowhere\nlog:\n  level: loud\n';
    assert.deepEqual(refusals({ text }), [
      '/srv/mesh/sealwright.yaml:1:1: error: trustDoman: unknown setting; did you mean trustDomain?',
      '/srv/mesh/sealwright.yaml:3:3: error: ca.lsten: unknown setting; did you mean listen?',
      '/srv/mesh/sealwright.yaml:4:3: error: ca.ttl: 4 stands where a group of settings belongs; write below it, indented: default, max',
      '/srv/mesh/sealwright.yaml:6:5: error: ca.metrics.listen: "nowhere" cannot be read; write host:port, [IPv6]:port or :port, the port from 0 to 65535',
      '/srv/mesh/sealwright.yaml:8:3: error: log.level: "loud" cannot be read; write one of debug, info, warn, error',
    ]);
  });

  it('refuse bad flags and variables by their own names', () => {
    const lines = refusals({ flags: { concurrency: 0, 'ca-lisen': 'x' }, env: { SEALWRIGHT_CA_TTL_MAX: '5s' } });
    assert.deepEqual(lines, [
      'error: --ca-lisen: unknown flag; did you mean ca-listen?',
      'error: SEALWRIGHT_CA_TTL_MAX: "5s" cannot be read; write a duration of at least 10s',
      'error: --concurrency: "0" cannot be read; write a whole number from 1 to 256',
    ]);
  });

  it('warn of unknown variables of ours, but not of those that Kubernetes sets beside a Service', () => {
    const env = {
      SEALWRIGHT_TRUST_DOMAN: 'x',
      SEALWRIGHT_CA_PORT: 'tcp://10.0.0.1:15012',
      SEALWRIGHT_CA_SERVICE_HOST: '10.0.0.1',
      SEALWRIGHT_CA_SERVICE_PORT_GRPC: '15012',
      SEALWRIGHT_CA_PORT_15012_TCP_ADDR: '10.0.0.1',
    };
    const { settings, issues } = resolve({ env });
    assert.ok(settings);
    assert.deepEqual(issues.map(formatIssue), [
      'warning: SEALWRIGHT_TRUST_DOMAN: unknown variable; did you mean SEALWRIGHT_TRUST_DOMAIN?',
    ]);
  });

  it('refuse settings that contradict each other', () => {
    assert.match(
      refusals({ flags: { 'ca-ttl-default': '3h', 'ca-ttl-max': '2h' } })[0] ?? '',
      /--ca-ttl-default: 3h is longer/,
    );
    assert.match(
      refusals({ text: 'ca: {auth: {jwksFile: k.json}}' })[0] ?? '',
      /:1:13: error: ca.auth.jwksFile: keys without the issuer/,
    );
    assert.match(refusals({ flags: { 'ca-auth-audiences': '' } })[0] ?? '', /no audience/);
    const trusted = { 'ca-auth-trusted-node-accounts': 'istio-system/ztunnel' };
    assert.match(refusals({ flags: trusted })[0] ?? '', /where no pods are known; set kubernetes.enabled/);
    assert.ok(resolve({ flags: { ...trusted, 'kubernetes-enabled': 'true' } }).settings);
    const foreign = { 'ca-operator-viewers': 'spiffe://elsewhere/ns/ops/sa/alice' };
    assert.match(refusals({ flags: foreign })[0] ?? '', /another trust domain; name identities of cluster.local/);
    const lease = (times: Record<string, string>): string =>
      refusals({
        flags: Object.fromEntries(Object.entries(times).map(([name, time]) => [`ca-leader-election-${name}`, time])),
      })[0] ?? '';
    assert.match(lease({ 'renew-deadline': '15s' }), /15s is not shorter than ca.leaderElection.leaseDuration, 15s/);
    assert.match(
      lease({ 'retry-period': '9s' }),
      /9s leaves no second try within ca.leaderElection.renewDeadline, 10s/,
    );
    assert.match(
      refusals({ flags: { 'ca-roots': 'x', 'ca-roots-secret': 'a/b' } })[0] ?? '',
      /ca-roots-secret: ca.roots is set too/,
    );
    const both = { 'ca-token-issuer-enabled': 'true', 'ca-auth-token-review-enabled': 'true' };
    assert.match(refusals({ flags: both })[0] ?? '', /answers for tokens too/);
    assert.ok(resolve({ flags: { ...both, 'ca-token-issuer-beside-kubernetes': 'true' } }).settings);
  });

  it('are refused as a whole where the file is not YAML, no object, or two documents', () => {
    assert.match(refusals({ text: 'a: b: c' })[0] ?? '', /sealwright.yaml:1:4: error/);
    assert.match(refusals({ text: '[1]' })[0] ?? '', /a list stands where a group of settings belongs/);
    assert.match(refusals({ text: 'ca: {}\n---\nca: {}' })[0] ?? '', /:3:1: error: a second document/);
    assert.match(refusals({ text: 'ca:\n  listen: [a]\n' })[0] ?? '', /a list cannot be read/);
    assert.match(refusals({ text: 'ca:\n  listen:\n' })[0] ?? '', /an empty value is no value/);
    assert.ok(resolve({ text: '# nothing\n' }).settings);
    assert.ok(resolve({ text: 'ca:\n  ttl:\n' }).settings);
  });
});

describe('the table of settings', () => {
  it('gives every setting its own key, flag and variable, none of which Kubernetes could set by itself', () => {
    const names = SETTING_ROWS.flatMap(({ key, flag, variables }) => [key, `--${flag}`, ...variables]);
    assert.equal(new Set(names).size, names.length);
    assert.ok(SETTING_ROWS.length >= 40);
    for (const { variables } of SETTING_ROWS) {
      assert.doesNotMatch(variables[0], /_(SERVICE_HOST|SERVICE_PORT|PORT)(_|$)/);
    }
  });

  it('can read each of its own defaults', () => {
    for (const { key, setting } of SETTING_ROWS) {
      for (const text of [setting.default, setting.clusterDefault]) {
        if (text !== undefined) assert.ok(!(setting.read(text) instanceof Unreadable), key);
      }
      assert.match(setting.purpose, /\.$/, key);
    }
  });

  it('reads host and port in each way they are written, and refuses the rest', () => {
    const read = SETTING_ROWS.find(({ key }) => key === 'ca.listen')!.setting.read;
    assert.deepEqual(read(':0'), { host: undefined, port: 0 });
    assert.deepEqual(read('[::1]:80'), { host: '::1', port: 80 });
    for (const text of ['', '80', '::1:80', 'a:65536', 'a:-1', 'a b:1', '[a]:1', 'a:1 '])
      assert.ok(read(text) instanceof Unreadable, text);
  });
});

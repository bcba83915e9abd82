import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseYaml } from '../../src/config/yaml-document.ts';
import { PROJECT } from '../structure/sources.ts';
import { useCluster } from './cluster.ts';
import { meshSpec } from './pods/pod-specs.ts';

const PAGE = readFileSync(join(PROJECT, 'docs/kubernetes.md'), 'utf8');

/** The examples of the page, as they stand there. */
function examples(language: string): string[] {
  return [...PAGE.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, of, text]) =>
    of === language ? [text ?? ''] : [],
  );
}

interface Template {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** What the tests' own pods have as well, whoever runs it and how often a certificate is renewed. */
function sidecarOf(spec: Readonly<Record<string, unknown>>): object {
  const containers = spec['initContainers'] as { readonly args: readonly string[] }[];
  const ofTests = /^--(certificate-ttl|access-log)=/;
  return {
    volumes: spec['volumes'],
    initContainers: containers.map(({ args, ...container }) => ({
      ...container,
      image: '',
      command: [],
      args: args.filter((arg) => !ofTests.test(arg)),
    })),
  };
}

describe('the page on Kubernetes', () => {
  const cluster = useCluster();

  it('has commands and examples that a real API server takes, one after the other, on an empty cluster', async function () {
    this.timeout(60_000);
    const [install = ''] = examples('sh');
    const commands = install.trim().split('\n');
    assert.equal(commands.length, 2);
    for (const command of commands) {
      const [program, ...args] = command
        .split(' ')
        .map((word) => word.replace(/^manifests/, join(PROJECT, 'manifests')));
      assert.equal(program, 'kubectl');
      const { code, stderr } = await cluster().kubectl(args);
      assert.equal(code, 0, `${command}: ${stderr}`);
    }
    await cluster().ask('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
    const documents = examples('yaml');
    assert.equal(documents.length, 2);
    for (const text of documents) {
      const args = ['apply', '--dry-run=server', '--validate=strict', '-f', '-'];
      const { code, stdout, stderr } = await cluster().kubectl(args, text);
      assert.deepEqual([code, stderr], [0, ''], text);
      const taken = stdout.split('created (server dry run)').length - 1;
      assert.equal(taken, parseYaml(text).documents.length, stdout);
    }
  });

  it('has the sidecar of the pods that the tests run', () => {
    const [document = assert.fail()] = parseYaml(examples('yaml')[1] ?? '').documents.slice(-1);
    const { template } = (document.value as { spec: { template: Template } }).spec;
    assert.equal(template.metadata.labels['security.istio.io/tlsMode'], 'istio');
    assert.deepEqual(sidecarOf(template.spec), sidecarOf(meshSpec({})));
  });
});

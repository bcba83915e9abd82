import { strict as assert } from 'node:assert';
import { readSources } from '../../structure/sources.ts';

/** What stays in the memory of each sidecar for good, were it ever loaded: 88 MB for the first of them. */
const HEAVY = ['@peculiar/x509', 'reflect-metadata', 'node-forge', 'jose', '@kubernetes/client-node', 'hono'];

describe('what the agent of a sidecar loads', () => {
  it('is none of the libraries that only the CA needs', () => {
    const sources = new Map(readSources('src', 'proxy').map((source) => [source.file, source]));
    const loaded = new Map<string, string>();
    const load = (file: string, by: string): void => {
      if (loaded.has(file)) return;
      loaded.set(file, by);
      const source = sources.get(file);
      for (const { specifier, target, line } of source?.imports ?? []) {
        // Types are gone before anything is loaded.
        if (/^(import|export) type\b/.test(source?.text.split('\n')[line - 1] ?? '')) continue;
        load(target ?? specifier, file);
      }
    };
    load('proxy/agent/sidecar-agent.ts', '');
    assert.ok(loaded.has('@grpc/grpc-js'), 'the imports were not followed');
    assert.deepEqual(
      HEAVY.filter((name) => loaded.has(name)).map((name) => `${name} by ${loaded.get(name)}`),
      [],
    );
  });
});

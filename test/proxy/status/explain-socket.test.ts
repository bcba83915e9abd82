import { strict as assert } from 'node:assert';
import { statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import fc from 'fast-check';
import { serveExplainSocket, type ExplainSocket } from '../../../proxy/status/explain-socket.ts';
import type { DecisionReport } from '../../../proxy/decisions/decision-log.ts';
import { jsonInSlices } from '../../../proxy/status/json-in-slices.ts';
import { atOnce } from '../../../src/policy/slices.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

describe('the explain socket', () => {
  let folder: string;
  let logger: RecordingLogger;
  let asked: string[];
  const open: ExplainSocket[] = [];

  beforeEach(function () {
    folder = temporaryFolder(this);
    logger = new RecordingLogger();
    asked = [];
  });

  afterEach(async () => {
    for (const socket of open.splice(0)) await socket.close();
  });

  const find = async (id: string): Promise<DecisionReport[]> => {
    asked.push(id);
    return [];
  };
  const serve = async (path = join(folder, 'explain.sock')): Promise<string> => {
    open.push(await serveExplainSocket({ path, find, clock: new FakeClock(), logger }));
    return path;
  };
  const get = (socketPath: string, path: string): Promise<[number | undefined, string]> =>
    new Promise((resolve, reject) => {
      request({ socketPath, path }, (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.once('end', () => resolve([answer.statusCode, text]));
      })
        .once('error', reject)
        .end();
    });

  it('is for its owner alone', async () => {
    assert.equal(statSync(await serve()).mode & 0o777, 0o600);
  });

  it('tells of one id that is named, and lists nothing', async () => {
    const path = await serve();
    assert.deepEqual(await get(path, '/decisions?id=a-b%2F1'), [200, '[]']);
    assert.deepEqual(asked, ['a-b/1']);
    for (const wrong of [
      '/decisions',
      '/decisions?id=',
      `/decisions?id=${'a'.repeat(129)}`,
      '/decisions?id=%0a',
      '/',
    ]) {
      assert.equal((await get(path, wrong))[0], 400, wrong);
    }
    assert.equal(asked.length, 1);
  });

  it('takes the place of a file that a killed sidecar left, and not that of one that answers', async () => {
    const path = join(folder, 'explain.sock');
    writeFileSync(path, '');
    await serve(path);
    assert.equal((await get(path, '/decisions?id=a'))[0], 200);
    await serve(path);
    assert.match(JSON.stringify(logger.lines), /another sidecar is running/);
    assert.equal((await get(path, '/decisions?id=a'))[0], 200);
  });

  it('is missing with a warning where its path is too long, and nothing else fails', async () => {
    await serve(join(folder, 'x'.repeat(110)));
    assert.match(JSON.stringify(logger.lines), /longer than 107 bytes/);
  });
});

describe('JSON in slices', () => {
  it('is what JSON.stringify writes, however deep it is taken apart', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat({ max: 4 }), (value, depth) => {
        let text = '';
        atOnce(jsonInSlices({ list: [value, undefined], none: undefined }, depth, (piece) => (text += piece)));
        assert.equal(text, JSON.stringify({ list: [value, undefined], none: undefined }));
      }),
    );
  });
});

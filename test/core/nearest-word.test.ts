import { strict as assert } from 'node:assert';
import { nearestWord, suggestWord } from '../../src/core/nearest-word.ts';

describe('the nearest word', () => {
  const words = ['listen', 'state', 'tokenIssuer', 'ttl'];

  it('is found across a missing, an added, a wrong and two swapped letters, and in another case', () => {
    for (const word of ['lisen', 'listten', 'lisden', 'lsiten', 'LISTEN'])
      assert.equal(nearestWord(word, words), 'listen');
    assert.equal(nearestWord('tokenissuer', words), 'tokenIssuer');
  });

  it('is none where all are far away, or the word is absurdly long', () => {
    assert.equal(nearestWord('certificate', words), undefined);
    assert.equal(nearestWord('xyz', words), undefined);
    assert.equal(nearestWord('listen'.repeat(100), words), undefined);
    assert.equal(suggestWord('certificate', words, 'look it up'), 'look it up');
    assert.equal(suggestWord('stat', words, 'look it up'), 'did you mean state?');
  });
});

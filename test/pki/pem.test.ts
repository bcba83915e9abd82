import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { decodePem, decodeSinglePem, encodePem, LONGEST_PEM_BLOCK } from '../../src/pki/pem.ts';
import { failureOf } from '../fakes/failure.ts';

describe('PEM', () => {
  const der = Buffer.from('a certification request, or so it says; it need not be one here');
  const pem = encodePem('CERTIFICATE REQUEST', der);
  const single = (text: string): Buffer => decodeSinglePem(text, 'CERTIFICATE REQUEST');

  it('reads what it writes, with lines of at most 64 characters', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const text = encodePem('CERTIFICATE', bytes);
        assert.deepEqual(decodeSinglePem(text, 'CERTIFICATE'), Buffer.from(bytes));
        assert.deepEqual(decodePem(text + text, 'CERTIFICATE'), [Buffer.from(bytes), Buffer.from(bytes)]);
        assert.ok(text.split('\n').every((line) => line.length <= 64));
      }),
    );
  });

  it('takes CRLF, and white space around the block', () => {
    assert.deepEqual(single(`\n\n${pem.replaceAll('\n', '\r\n')}  \n`), der);
  });

  const bad: Record<string, string> = {
    nothing: '',
    'another label': pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE'),
    'text before the block': `subject=/CN=me\n${pem}`,
    'text after the block': `${pem}and so on`,
    'two blocks': pem + pem,
    'two blocks on touching lines': pem.trim() + pem,
    'a header inside the block': pem.replace('-----\n', '-----\nProc-Type: 4,ENCRYPTED\n\n'),
    'no end': pem.slice(0, pem.indexOf('-----END')),
    'a begin line alone': '-----BEGIN CERTIFICATE REQUEST-----',
    'a begin that is also the end': '-----BEGIN CERTIFICATE REQUEST-----END CERTIFICATE REQUEST-----',
    'no content': '-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n',
    'characters that are not base64': pem.replace('Y', '*'),
    'base64 for URLs': pem.replace(/\n[A-Za-z0-9]/, '\n_'),
    'a space in the base64': pem.replace('Y', 'Y '),
    'missing padding': encodePem('CERTIFICATE REQUEST', Buffer.of(1)).replaceAll('=', ''),
    'bits that the padding should leave zero': encodePem('CERTIFICATE REQUEST', Buffer.of(1)).replace('AQ==', 'AR=='),
    'more than 64 KiB': encodePem('CERTIFICATE REQUEST', Buffer.alloc(LONGEST_PEM_BLOCK)),
    'a megabyte of line feeds': pem + '\n'.repeat(1_000_000),
  };
  for (const [title, text] of Object.entries(bad)) {
    it(`refuses, where one block is asked for, ${title}`, () => {
      failureOf(() => single(text), 'pem_invalid');
    });
  }

  it('takes the blocks of one label out of a file with others and with text between them', () => {
    const key = encodePem('PRIVATE KEY', Buffer.from('key'));
    const [a, b] = [Buffer.from('a'), Buffer.from('b')];
    const file = `# roots\n${encodePem('CERTIFICATE', a)}subject=O=x\n${key}${encodePem('CERTIFICATE', b)}`;
    assert.deepEqual(decodePem(file, 'CERTIFICATE'), [a, b]);
    assert.deepEqual(decodePem('nothing here', 'CERTIFICATE'), []);
  });

  it('refuses a file with a block that is cut short, damaged or closed by another label', () => {
    failureOf(() => decodePem(pem.slice(0, -10), 'CERTIFICATE'), 'pem_invalid');
    failureOf(() => decodePem(pem.replace('Y', '!'), 'CERTIFICATE REQUEST'), 'pem_invalid');
    failureOf(() => decodePem(pem.replace('END CERTIFICATE REQUEST', 'END CERTIFICATE'), 'CERTIFICATE'), 'pem_invalid');
  });
});

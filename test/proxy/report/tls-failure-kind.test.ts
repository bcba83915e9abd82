import { strict as assert } from 'node:assert';
import { tlsFailureKind } from '../../../proxy/report/tls-failure-kind.ts';
import { failureWords } from '../../../proxy/tcp/failure-words.ts';

const failure = (code: string, message = 'it failed'): Error => Object.assign(new Error(message), { code });

describe('a failure of a socket', () => {
  const said: readonly (readonly [code: string, words: RegExp, kind: string])[] = [
    // OpenSSL's names before and after 3.2.
    ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', /refuses our certificate: it has expired/, 'our_certificate_refused'],
    ['ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED', /refuses our certificate: it has expired/, 'our_certificate_refused'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', /its trust bundle has no root for it/, 'our_certificate_refused'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', /wants a certificate/, 'our_certificate_refused'],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', /speaks no TLS version/, 'version'],
    ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', /nothing of the server name/, 'server_name'],
    ['ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', /shares no parameters/, 'parameters'],
    ['ERR_SSL_UNSUPPORTED_PROTOCOL', /speaks no TLS version/, 'version'],
    ['ERR_SSL_NO_SUITABLE_KEY_SHARE', /no key exchange group/, 'parameters'],
    ['ERR_SSL_NO_SHARED_CIPHER', /none of our ciphers/, 'parameters'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', /answers without TLS/, 'plaintext'],
    ['ERR_TLS_HANDSHAKE_TIMEOUT', /took too long/, 'timeout'],
    ['ERR_SSL_BAD_EXTENSION', /^TLS failed: bad extension$/, 'other'],
    ['ERR_SSL_TLSV1_ALERT_CONSTRUCTOR', /^TLS failed: constructor$/, 'other'],
  ];
  for (const [code, words, kind] of said) {
    it(`is told in words: ${code}`, () => {
      assert.match(failureWords(failure(code)), words);
      assert.equal(tlsFailureKind(failureWords(failure(code))), kind);
    });
  }

  it('of plaintext is the caller’s on one side and the called one’s on the other', () => {
    assert.equal(failureWords(failure('ERR_SSL_HTTP_REQUEST'), 'server'), 'plaintext where TLS is required');
    assert.equal(failureWords(failure('ERR_SSL_HTTP_REQUEST'), 'client'), 'the peer answers without TLS');
  });

  it('is the system’s word for it where TLS has no part in it', () => {
    assert.equal(failureWords(failure('ECONNRESET')), 'ECONNRESET');
    assert.equal(failureWords(new Error('something else')), 'something else');
  });
});

import { parseDuration } from '../core/duration.ts';
import {
  fieldPath,
  isGiven,
  readList,
  readObject,
  readText,
  readTexts,
  readWord,
  wrongType,
  type FieldObject,
} from './field-reader.ts';
import type { Findings } from './findings.ts';
import { readPublicKeySet } from './public-key-set.ts';
import type { KeyPlace, TokenRule } from './request-authentication.ts';

const FIELDS = [
  'issuer',
  'audiences',
  'jwksUri',
  // The CRD has it by both names.
  'jwks_uri',
  'jwks',
  'fromHeaders',
  'fromParams',
  'fromCookies',
  'outputPayloadToHeader',
  'outputClaimToHeaders',
  'forwardOriginalToken',
  'timeout',
  'spaceDelimitedClaims',
  'presence',
];

/** Istio's CRD. */
export const LONGEST_URL = 2048;
export const MOST_CLAIMS = 64;

export const PRESENCES = ['OPTIONAL', 'REQUIRED'] as const;

/** Istio's. */
const DEFAULT_TIMEOUT = 5_000;

/** Istio's CRD has this form for the header of a claim, and no other could be told apart from it by an application. */
const HEADER_NAME = /^[-_A-Za-z0-9]+$/;

/** Reads one entry of `spec.jwtRules`. */
export function readTokenRule(findings: Findings, path: string, value: unknown): TokenRule | undefined {
  const rule = readObject(findings, { path, value, known: FIELDS });
  if (rule === undefined) return undefined;
  const issuer = readWritten(findings, rule, 'issuer');
  const keys = readKeys(findings, rule, issuer);
  const payloadHeader = readText(
    findings,
    fieldPath(path, 'outputPayloadToHeader'),
    rule.fields['outputPayloadToHeader'],
  );
  if (payloadHeader !== undefined && payloadHeader !== '') {
    checkHeaderName(findings, fieldPath(path, 'outputPayloadToHeader'), payloadHeader);
  }
  return Object.freeze({
    issuer,
    audiences: readTexts(findings, rule, 'audiences'),
    keys,
    headers: readHeaders(findings, rule),
    params: readTexts(findings, rule, 'fromParams'),
    cookies: readTexts(findings, rule, 'fromCookies'),
    payloadHeader: payloadHeader === '' ? undefined : payloadHeader?.toLowerCase(),
    claimHeaders: readClaimHeaders(findings, rule),
    forwardOriginalToken: readTruth(findings, rule, 'forwardOriginalToken'),
    timeout: readTimeout(findings, rule),
    spaceDelimitedClaims: readClaims(findings, rule),
    required: readPresence(findings, rule) === 'REQUIRED',
  });
}

/** Text that is not empty, where it is given at all: empty where it is not. */
function readWritten(findings: Findings, { path, fields }: FieldObject, name: string): string {
  const at = fieldPath(path, name);
  const text = readText(findings, at, fields[name]);
  if (text === '') {
    findings.error({
      code: 'policy_empty_value',
      path: at,
      message: 'is empty',
      remedy: `write it, or leave ${name} out`,
    });
  }
  return text ?? '';
}

function readClaims(findings: Findings, rule: FieldObject): readonly string[] {
  const claims = readTexts(findings, rule, 'spaceDelimitedClaims');
  if (claims.length > MOST_CLAIMS) {
    const path = fieldPath(rule.path, 'spaceDelimitedClaims');
    const message = `has ${claims.length} entries`;
    findings.error({ code: 'policy_too_many', path, message, remedy: `write at most ${MOST_CLAIMS}` });
  }
  return claims;
}

function readKeys(findings: Findings, rule: FieldObject, issuer: string): KeyPlace {
  const { path, fields } = rule;
  const name = isGiven(fields['jwksUri']) ? 'jwksUri' : 'jwks_uri';
  const at = fieldPath(path, name);
  const url = readWritten(findings, rule, name);
  if (name === 'jwksUri' && isGiven(fields['jwks_uri'])) keysTwice(findings, fieldPath(path, 'jwks_uri'), name);
  const keySet = readText(findings, fieldPath(path, 'jwks'), fields['jwks']) ?? '';
  if (url !== '') checkUrl(findings, at, url);
  if (keySet !== '') {
    if (url !== '') keysTwice(findings, at, 'jwks');
    return { kind: 'inline', keySet: readPublicKeySet(findings, fieldPath(path, 'jwks'), keySet) ?? '{"keys":[]}' };
  }
  if (url !== '') return { kind: 'address', url };
  if (issuer === '') {
    findings.error({
      code: 'policy_issuer_missing',
      path,
      message: 'names no issuer, and no keys',
      remedy: 'write issuer, or jwksUri or jwks',
    });
  }
  return { kind: 'discovery', issuer };
}

/** As the CRD has it: which of the two is meant, nobody can know. */
function keysTwice(findings: Findings, path: string, other: string): void {
  const message = `stands beside ${other}`;
  findings.error({ code: 'policy_jwks_twice', path, message, remedy: 'keep only one of jwks and jwksUri' });
}

function checkUrl(findings: Findings, path: string, url: string): void {
  if (url.length > LONGEST_URL) {
    const message = `has ${url.length} characters`;
    findings.error({ code: 'policy_url_invalid', path, message, remedy: `write at most ${LONGEST_URL}` });
    return;
  }
  const parsed = URL.parse(url);
  if (/^https?:\/\//i.test(url) && parsed !== null && parsed.hostname !== '') return;
  findings.error({
    code: 'policy_url_invalid',
    path,
    message: `${JSON.stringify(url.slice(0, 200))} is no address of http or https`,
    remedy: 'write it like https://issuer.example.org/keys',
  });
}

function readHeaders(findings: Findings, rule: FieldObject): TokenRule['headers'] {
  return entries(findings, rule, 'fromHeaders', ['name', 'prefix']).flatMap((entry) => {
    const name = required(findings, entry, 'name');
    const prefix = readText(findings, fieldPath(entry.path, 'prefix'), entry.fields['prefix']) ?? '';
    if (name === undefined) return [];
    checkHeaderName(findings, fieldPath(entry.path, 'name'), name);
    return [Object.freeze({ name: name.toLowerCase(), prefix })];
  });
}

function readClaimHeaders(findings: Findings, rule: FieldObject): TokenRule['claimHeaders'] {
  return entries(findings, rule, 'outputClaimToHeaders', ['header', 'claim']).flatMap((entry) => {
    const header = required(findings, entry, 'header');
    const claim = required(findings, entry, 'claim');
    if (header === undefined || claim === undefined) return [];
    checkHeaderName(findings, fieldPath(entry.path, 'header'), header);
    return [Object.freeze({ header: header.toLowerCase(), claim })];
  });
}

function entries(findings: Findings, rule: FieldObject, name: string, known: readonly string[]): FieldObject[] {
  const path = fieldPath(rule.path, name);
  const list = readList(findings, path, rule.fields[name]) ?? [];
  return list.flatMap((value, index) => {
    const at = fieldPath(path, index);
    if (!isGiven(value)) return wrongType(findings, at, 'a mapping', value) ?? [];
    return readObject(findings, { path: at, value, known }) ?? [];
  });
}

function required(findings: Findings, { path, fields }: FieldObject, name: string): string | undefined {
  const at = fieldPath(path, name);
  const text = readText(findings, at, fields[name]);
  if (text !== undefined && text !== '') return text;
  if (!isGiven(fields[name]) || text === '') {
    findings.error({ code: 'policy_empty_value', path: at, message: 'is empty', remedy: 'write a value' });
  }
  return undefined;
}

function checkHeaderName(findings: Findings, path: string, name: string): void {
  if (HEADER_NAME.test(name)) return;
  findings.error({
    code: 'policy_header_name',
    path,
    message: `${JSON.stringify(name.slice(0, 100))} is no name of a header`,
    remedy: 'use letters, digits, hyphens and underscores',
  });
}

function readTruth(findings: Findings, { path, fields }: FieldObject, name: string): boolean {
  const value = fields[name];
  if (!isGiven(value)) return false;
  return typeof value === 'boolean'
    ? value
    : (wrongType(findings, fieldPath(path, name), 'true or false', value) ?? false);
}

function readTimeout(findings: Findings, { path, fields }: FieldObject): number {
  const at = fieldPath(path, 'timeout');
  const text = readText(findings, at, fields['timeout']);
  if (text === undefined) return DEFAULT_TIMEOUT;
  const timeout = durationOf(text);
  if (timeout !== undefined && timeout >= 1) return timeout;
  findings.error({
    code: 'policy_timeout_invalid',
    path: at,
    message: `${JSON.stringify(text.slice(0, 100))} is no duration of 1ms or more`,
    remedy: 'write it like 5s',
  });
  return DEFAULT_TIMEOUT;
}

function durationOf(text: string): number | undefined {
  try {
    return parseDuration(text);
  } catch {
    return undefined;
  }
}

function readPresence(findings: Findings, { path, fields }: FieldObject): (typeof PRESENCES)[number] {
  return readWord(findings, fieldPath(path, 'presence'), fields['presence'], {
    what: 'presence',
    code: 'policy_presence_unknown',
    words: PRESENCES,
    absent: 'OPTIONAL',
    instead: 'REQUIRED',
  });
}

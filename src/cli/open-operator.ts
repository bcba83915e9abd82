import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SealwrightError, reasonOf } from '../core/errors.ts';
import type { CommandContext } from './command.ts';
import { OperatorClient, type OperatorAddress } from './operator-client.ts';
import { loadSettings } from './settings-options.ts';

/** A token of Kubernetes has 1 to 2 KiB; a chain of certificates a few. */
const LARGEST_FILE = 256 * 1024;

/**
 * The operator API: over TLS where an address is named, else on the socket in the state folder that the options, the
 * environment or the settings file name.
 *
 * @throws SealwrightError `argument_invalid`, `settings_invalid`
 */
export function openOperator(options: Readonly<Record<string, unknown>>, context: CommandContext): OperatorClient {
  const address = textOf(options['operatorAddress']);
  if (address !== undefined) return new OperatorClient(addressOf(address, options, context));
  for (const [name, flag] of Object.entries(ONLY_WITH_ADDRESS)) {
    if (options[name] === undefined) continue;
    throw invalid(flag, undefined, 'with --operator-address: the socket needs none');
  }
  const settings = loadSettings(options, context);
  return new OperatorClient(join(settings.ca.state, 'operator.sock'));
}

const ONLY_WITH_ADDRESS = {
  caRoot: '--ca-root',
  caName: '--ca-name',
  tokenFile: '--token-file',
  certificate: '--certificate',
  key: '--key',
} as const;

function addressOf(
  address: string,
  options: Readonly<Record<string, unknown>>,
  context: CommandContext,
): OperatorAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(address);
  const [host, port] = [match?.[1] ?? match?.[2], Number(match?.[3])];
  if (host === undefined || !(port > 0 && port < 65_536)) {
    throw invalid('--operator-address', address, 'host:port or [IPv6]:port, such as localhost:15016');
  }
  const read = (flag: string, file: string): string => readText(flag, resolve(context.folder, file));
  const root = textOf(options['caRoot']);
  const roots =
    root === undefined
      ? readText('--ca-root', join(loadSettings(options, context).ca.state, 'root-cert.pem'))
      : read('--ca-root', root);
  const [tokenFile, certificate, key] = [options['tokenFile'], options['certificate'], options['key']].map(textOf);
  if ((certificate === undefined) !== (key === undefined)) {
    throw invalid(certificate === undefined ? '--certificate' : '--key', undefined, '--certificate and --key together');
  }
  if ((tokenFile === undefined) === (certificate === undefined)) {
    throw invalid('--token-file', tokenFile, 'either --token-file, or --certificate and --key');
  }
  return {
    host,
    port,
    roots,
    serverName: textOf(options['caName']),
    token: tokenFile === undefined ? undefined : tokenIn(read('--token-file', tokenFile)),
    identity:
      certificate === undefined || key === undefined
        ? undefined
        : { certificateChain: read('--certificate', certificate), privateKey: read('--key', key) },
  };
}

/** A line break, or anything else that cannot stand in a header, would be told by node:http with the token in it. */
function tokenIn(text: string): string {
  const token = text.trim();
  if (/^[A-Za-z0-9._~+/=-]+$/.test(token)) return token;
  throw invalid('--token-file', undefined, 'a file with one token and nothing else');
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** Also of a pipe, such as `<(kubectl create token …)`. */
function readText(flag: string, file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new SealwrightError('argument_invalid', { argument: flag, got: file, reason: reasonOf(error) });
  }
  if (text.length > LARGEST_FILE) throw invalid(flag, file, `a file of at most ${LARGEST_FILE / 1024} KiB`);
  return text;
}

function invalid(argument: string, got: string | undefined, expected: string): SealwrightError {
  return new SealwrightError('argument_invalid', { argument, got, expected });
}

import type { YAMLError } from 'yaml';

/** What is wrong at one place of a YAML text, before file and line are added. */
export interface YamlFault {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  /** Offset into the text, in UTF-16 units. */
  readonly offset: number;
  /** The field, where one is known. */
  readonly path: string;
}

const REMEDIES: Partial<Record<YAMLError['code'], { code: string; message?: string; remedy: string }>> = {
  TAB_AS_INDENT: { code: 'yaml_tab', message: 'a tab is used for indentation', remedy: 'indent with spaces' },
  BAD_INDENT: { code: 'yaml_syntax', remedy: 'indent all fields of one object by the same number of spaces' },
  BLOCK_AS_IMPLICIT_KEY: { code: 'yaml_syntax', remedy: 'put quotes around text that holds a colon and a space' },
  MISSING_CHAR: { code: 'yaml_syntax', remedy: 'close what was opened: a quote, a bracket, or a colon after a key' },
  BAD_DIRECTIVE: { code: 'yaml_directive', remedy: 'leave out lines that begin with %' },
  TAG_RESOLVE_FAILED: { code: 'yaml_tag', remedy: 'leave out tags that begin with !' },
  BAD_SCALAR_START: { code: 'yaml_syntax', remedy: 'put quotes around text that begins with a special character' },
  RESOURCE_EXHAUSTION: { code: 'yaml_too_deep', message: 'nested too deep', remedy: 'flatten the document' },
  BAD_ALIAS: { code: 'yaml_alias', remedy: 'write the name of an anchor of the same document behind *' },
};

/** The parser's own finding in our words. Its code is kept only where a reader can act on it. */
export function faultOf(error: YAMLError): YamlFault {
  const known = REMEDIES[error.code];
  return {
    code: known?.code ?? 'yaml_syntax',
    message: known?.message ?? plainSentence(error.message),
    remedy: known?.remedy ?? 'write valid YAML 1.2',
    offset: error.pos[0],
    path: '',
  };
}

function plainSentence(message: string): string {
  const [line = ''] = message.split('\n', 1);
  const sentence = line.replace(/[.:]\s*$/, '').slice(0, 200);
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

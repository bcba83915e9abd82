import type { Command } from 'commander';

/** What a command is given of the process it runs in, so that a test can run it in a folder of its own. */
export interface CommandContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder that relative paths start from. */
  readonly folder: string;
  readonly stdin: NodeJS.ReadableStream;
  /** Answers false where it took the text and asks for no more for now, until it calls `onStdoutDrain` back. */
  readonly stdout: (text: string) => boolean;
  readonly onStdoutDrain: (listener: () => void) => void;
  readonly stderr: (text: string) => void;
  /** Whether a person reads stdout at a terminal: colours and layout may be used. */
  readonly terminal: boolean;
  /** Wall time in milliseconds. */
  readonly now: () => number;
}

/** What each command's module exports: it describes its options and arguments, and what they do. */
export interface CommandModule {
  configure(command: Command, context: CommandContext): void;
}

/** A check failed: the command has said why already, and ends with exit code 1. */
export class CheckFailed extends Error {
  constructor() {
    super('a check failed');
    this.name = 'CheckFailed';
  }
}

/** What is done with memory that V8 does not know of: the C library's, and the pages of the program itself. */
export interface SystemMemory {
  /** Gives free pages of the C library's heaps back. Measured: 9 ms for 120 MiB of heap. */
  trim(): void;
  /**
   * Forgets the pages of the program's own file that were touched so far. What is in use is mapped again at its next use,
   * from the page cache; the start's share (V8's snapshot, the sources of Node's own modules) is not.
   *
   * @param maps the text of `/proc/self/smaps`
   * @param program the path of the program's file, as it stands there
   */
  dropProgram(maps: string, program: string): void;
}

/** From Linux' mman-common.h. */
const MADV_DONTNEED = 4;

/** A mapping of `/proc/<pid>/smaps` that nobody may write to: its range and its file. */
const READ_ONLY = /^([0-9a-f]+)-([0-9a-f]+) r-[-x]p \S+ \S+ \S+\s+(\S.*)$/;
const MAPPING = /^[0-9a-f]+-[0-9a-f]+ /;
/** Pages of it that are the process's own, such as addresses that the linker filled in: they would be lost. */
const OWN_PAGES = /^(?:Anonymous|Private_Dirty):\s+(\d+) kB$/;

/**
 * The calls of the C library behind it, by `node:ffi`: on Linux, from Node 26.1 on; undefined elsewhere. It is an
 * experiment of Node's, so whatever goes wrong with it means no more than that the memory is kept.
 */
export function openSystemMemory(): SystemMemory | undefined {
  if (process.platform !== 'linux') return undefined;
  const calls = inSilence(openCalls);
  return calls === undefined
    ? undefined
    : {
        trim: () => void calls['malloc_trim']?.(0n),
        dropProgram: (maps, program) => {
          for (const [from, to] of unchangedRanges(maps, program)) calls['madvise']?.(from, to - from, MADV_DONTNEED);
        },
      };
}

/** Where the file lies in memory as it is on disk: read-only, and with no page of the process's own. */
export function unchangedRanges(maps: string, program: string): (readonly [bigint, bigint])[] {
  const ranges: (readonly [bigint, bigint])[] = [];
  let current: readonly [bigint, bigint] | undefined;
  let checks = 0;
  for (const line of maps.split('\n')) {
    if (MAPPING.test(line)) {
      const [, from, to, path] = READ_ONLY.exec(line) ?? [];
      current = path === program ? [BigInt(`0x${from}`), BigInt(`0x${to}`)] : undefined;
      checks = 0;
      continue;
    }
    const own = OWN_PAGES.exec(line)?.[1];
    if (own === undefined || current === undefined) continue;
    // Both must be there and say none: a kernel that does not tell is taken at its worst.
    checks += own === '0' ? 1 : Number.NEGATIVE_INFINITY;
    if (checks === 2) ranges.push(current);
  }
  return ranges;
}

type Call = (...args: (bigint | number)[]) => unknown;

function openCalls(): Readonly<Record<string, Call>> | undefined {
  try {
    const ffi: unknown = process.getBuiltinModule('node:ffi');
    const open = field(ffi, 'dlopen');
    if (typeof open !== 'function') return undefined;
    const library: unknown = open(null, {
      malloc_trim: { arguments: ['u64'], return: 'i32' },
      madvise: { arguments: ['u64', 'u64', 'i32'], return: 'i32' },
    });
    const functions = field(library, 'functions');
    const [trim, advise] = [field(functions, 'malloc_trim'), field(functions, 'madvise')];
    if (!isCall(trim) || !isCall(advise)) return undefined;
    return { malloc_trim: trim, madvise: advise };
  } catch {
    return undefined;
  }
}

function field(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null && name in of ? Reflect.get(of, name) : undefined;
}

function isCall(value: unknown): value is Call {
  return typeof value === 'function';
}

/** Without Node's remark on experiments, which is no JSON and would stand among the lines of our log. */
function inSilence<T>(call: () => T): T {
  const before: unknown = Reflect.get(process, 'emitWarning');
  process.emitWarning = () => {};
  try {
    return call();
  } finally {
    Reflect.set(process, 'emitWarning', before);
  }
}

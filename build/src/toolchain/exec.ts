// SPDX-License-Identifier: PMPL-1.0-or-later
// The only file that starts other programs, and the only importer of execa. Everything else calls a typed function of this folder.
// No shell, ever: a program and a list of arguments. A failure holds the command, its duration and the tail of its output.
// Children end when we end, with all that they started (`groups.ts`). Read next: `packages.ts`.
import { existsSync } from 'node:fs';
import { execa, type Options } from 'execa';
import { InternalError, Interrupted, UserError } from '../errors.ts';
import { roughDuration } from '../units.ts';
import { endGroup, watchGroup } from './groups.ts';
import { packageOf } from './packages.ts';

export interface RunOptions {
  readonly cwd?: string;
  /** Added to the environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Text or bytes for standard input; nothing by default. `inherit` hands over the terminal's. */
  readonly input?: string | Uint8Array;
  /** A file that takes standard output instead of `stdout` of the result. */
  readonly stdoutTo?: string;
  /** `inherit`: the child talks to the terminal itself, for interactive programs. */
  readonly stdio?: 'inherit';
  readonly signal?: AbortSignal;
  /** Called for each line of standard output and standard error as it comes. */
  readonly onLine?: (line: string, from: 'stdout' | 'stderr') => void;
  readonly timeoutMs?: number;
  /** Exit codes that are not a failure; `[0]` by default, `'any'` for all. */
  readonly ok?: readonly number[] | 'any';
  /** Standard output as bytes: `stdoutBytes` of the result is set and `stdout` is empty. */
  readonly bytes?: true;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Uint8Array;
  readonly durationMs: number;
  /** The command as a person would type it. */
  readonly command: string;
}

/** A program that ended badly. `result` is there for callers that know what its failures mean. */
export class CommandError extends InternalError {
  readonly result: RunResult;

  constructor(message: string, result: RunResult) {
    super(message);
    this.name = 'CommandError';
    this.result = result;
  }
}

/**
 * Runs `program` to its end.
 * Errors: `UserError` `machine/program-missing` when it is not installed, `Interrupted` when `signal` fired,
 * `CommandError` for an exit code that is not in `ok`, a signal, or the timeout.
 */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const command = [program, ...args].map(quoted).join(' ');
  const started = performance.now();
  const child = execa(program, args, execaOptions(options));
  if (options.onLine !== undefined && options.stdio !== 'inherit') {
    const { onLine } = options;
    forwardLines(child.stdout, (line) => onLine(line, 'stdout'));
    forwardLines(child.stderr, (line) => onLine(line, 'stderr'));
  }
  const { timedOut, ended } = await toItsEnd(child, options);
  const bytes = ended.stdout instanceof Uint8Array ? ended.stdout : new Uint8Array();
  const result: RunResult = {
    code: ended.exitCode ?? -1,
    stdout: typeof ended.stdout === 'string' ? ended.stdout : '',
    stderr: textOf(ended.stderr),
    stdoutBytes: bytes,
    durationMs: performance.now() - started,
    command,
  };
  if (options.signal?.aborted === true) throw new Interrupted();
  if (ended.code === 'ENOENT' && options.cwd !== undefined && !existsSync(options.cwd))
    throw new CommandError(failure(`did not start: the folder ${options.cwd} does not exist`, result), result);
  if (ended.code === 'ENOENT' && ended.exitCode === undefined) throw missing(program, options.cwd, ended);
  if (timedOut) throw new CommandError(failure(`no end within ${roughDuration(options.timeoutMs ?? 0)}`, result), result);
  if (ended.signal !== undefined) throw new CommandError(failure(`ended by ${ended.signal}`, result), result);
  if (ended.exitCode === undefined)
    throw new CommandError(failure(`did not start: ${ended.code ?? 'unknown cause'}`, result), result);
  const ok = options.ok ?? [0];
  if (ok !== 'any' && !ok.includes(result.code)) throw new CommandError(failure(`ended with ${result.code}`, result), result);
  return result;
}

/** Waits for the end, and brings it about when `signal` fires or the time is over. */
async function toItsEnd<T>(child: Promise<T> & { readonly pid?: number | undefined }, options: RunOptions) {
  const { signal, timeoutMs, stdio } = options;
  const { pid } = child;
  let timedOut = false;
  if (pid === undefined || stdio === 'inherit') return { timedOut, ended: await child };
  const release = watchGroup(pid);
  const end = () => endGroup(pid);
  const onTimeout = () => {
    timedOut = true;
    end();
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs);
  signal?.addEventListener('abort', end, { once: true });
  if (signal?.aborted === true) end();
  try {
    const ended = await child;
    return { timedOut, ended };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', end);
    release();
  }
}

/** The line of `program --version` that holds a number, or undefined when it is not installed or says nothing. */
export async function versionOf(program: string, args: readonly string[] = ['--version']): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(program, args, { ok: 'any', timeoutMs: 20_000 });
    const lines = (stdout || stderr).split('\n').filter((line) => line.trim() !== '');
    return (lines.find((line) => /\d\.\d/.test(line)) ?? lines[0])?.trim();
  } catch (error) {
    if (error instanceof UserError || error instanceof CommandError) return undefined;
    throw error;
  }
}

function execaOptions(options: RunOptions): Options & { reject: false; encoding: 'utf8' | 'buffer' } {
  const { cwd, input, signal, stdoutTo, stdio } = options;
  return {
    reject: false,
    stripFinalNewline: true,
    encoding: options.bytes === true ? 'buffer' : 'utf8',
    maxBuffer: 1 << 28,
    env: { ...options.env },
    ...(cwd === undefined ? {} : { cwd }),
    ...(stdio === 'inherit'
      ? // It shares our terminal and so our group: Ctrl-C reaches it by itself.
        { stdio: 'inherit' as const, cleanup: true, ...(signal === undefined ? {} : { cancelSignal: signal }) }
      : {
          detached: true,
          cleanup: false,
          ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
          ...(stdoutTo === undefined ? {} : { stdout: { file: stdoutTo } }),
        }),
  };
}

function forwardLines(stream: NodeJS.ReadableStream | null | undefined, onLine: (line: string) => void): void {
  if (stream === null || stream === undefined) return;
  let rest = '';
  stream.on('data', (chunk: Buffer | string) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line.replace(/\r$/, ''));
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}

function missing(program: string, cwd: string | undefined, cause: unknown): Error {
  const name = program.split('/').at(-1) ?? program;
  const debian = packageOf[name];
  return new UserError(`the program \`${program}\` is not installed`, {
    code: 'machine/program-missing',
    ...(cwd === undefined ? {} : { where: `called in ${cwd}` }),
    hint:
      debian === undefined
        ? 'run `just setup`, or install it and see that it is on PATH'
        : `run \`just setup\`, or install the package ${debian} (Debian, Ubuntu: apt-get install ${debian})`,
    cause,
  });
}

function failure(what: string, result: RunResult): string {
  const tail = [result.stdout, result.stderr].join('\n').trim().split('\n').slice(-20).join('\n    ');
  return `${what} after ${roughDuration(result.durationMs)}: ${result.command}${tail === '' ? '' : `\n    ${tail}`}`;
}

function textOf(output: unknown): string {
  if (typeof output === 'string') return output;
  return output instanceof Uint8Array ? new TextDecoder().decode(output) : '';
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// The serial console of a guest as a stream of lines that a test can await. It knows nothing of the emulator: bytes come in by
// `feed`, bytes go out by the `send` that it was given. Silence is failure: every wait has a limit. A bad sign fails all waits.
import { type BadSignName, findBadSign } from './bad-signs.ts';
import { type FailureCause, MachineFailure } from './failure.ts';

export interface ConsoleLine {
  /** Since the machine's start. */
  readonly atMs: number;
  readonly text: string;
}

export interface ConsoleOptions {
  readonly machine: string;
  /** Bad signs that this run is about. */
  readonly expected?: ReadonlySet<BadSignName>;
  readonly now?: () => number;
  /** To the guest's serial input. */
  readonly send?: (text: string | Uint8Array) => void;
  /** Each whole line as it comes, for a transcript. */
  readonly onLine?: (line: ConsoleLine) => void;
  /** Called once, when a bad sign ends the run. */
  readonly onBadSign?: () => void;
  /** For the message of a failure. */
  readonly describe?: () => { readonly logPath?: string; readonly command?: string };
}

export interface WaitOptions {
  readonly timeoutMs: number;
  /** `prompt`: also try the pattern on a line that has not ended yet. Only for text that does not grow. */
  readonly also?: 'prompt';
}

interface Waiter {
  readonly pattern: RegExp;
  readonly options: WaitOptions;
  readonly since: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (match: RegExpExecArray) => void;
  readonly reject: (failure: MachineFailure) => void;
}

export class Console {
  readonly lines: ConsoleLine[] = [];
  readonly #options: ConsoleOptions;
  readonly #now: () => number;
  readonly #started: number;
  readonly #waiters = new Set<Waiter>();
  readonly #decoder = new TextDecoder();
  /** Waits look at lines from here on, so that two waits in a row are in order. */
  #next = 0;
  #partial = '';
  /** The start of a control sequence whose rest has not come yet. */
  #held = '';
  #over: FailureCause | undefined;
  /** Whether somebody was told of the bad sign. */
  #told = false;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#started = this.#now();
  }

  /**
   * The first line after the last awaited one that matches; the match gives its groups.
   * Errors: `MachineFailure` when it does not come in time, when a bad sign comes first, or when the machine ends.
   */
  waitFor(pattern: RegExp, options: WaitOptions): Promise<RegExpExecArray> {
    const found = this.#search(pattern, options);
    if (found !== undefined) return Promise.resolve(found);
    const since = this.#now();
    if (this.#over !== undefined) return Promise.reject(this.#failure(this.#over, pattern, since));
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#waiters.delete(waiter);
        reject(this.#failure({ kind: 'silence' }, pattern, since));
      };
      const waiter: Waiter = { pattern, options, since, resolve, reject, timer: setTimeout(late, options.timeoutMs) };
      this.#waiters.add(waiter);
    });
  }

  /** All lines that match, awaited or not. */
  seen(pattern: RegExp): string[] {
    return this.lines.map((line) => line.text).filter((text) => pattern.test(text));
  }

  /** Throws the reason if a bad sign has ended the run and no wait has told it. */
  check(): void {
    if (this.#over?.kind === 'sign' && !this.#told) throw this.#failure(this.#over, undefined, this.#now());
  }

  /** A failure with this console's story, for a caller whose own condition broke. */
  failure(how: string): MachineFailure {
    return this.#failure({ kind: 'ended', how }, undefined, this.#now());
  }

  /** Types to the guest. */
  send(text: string | Uint8Array): void {
    this.#options.send?.(text);
  }

  /** Bytes from the guest. */
  feed(bytes: Uint8Array): void {
    const raw = this.#held + this.#decoder.decode(bytes, { stream: true });
    this.#held = unfinished.exec(raw)?.[0] ?? '';
    const text = this.#partial + plain(raw.slice(0, raw.length - this.#held.length));
    const parts = text.split('\n');
    this.#partial = parts.pop() ?? '';
    for (const part of parts) this.#line(part);
    if (this.#partial !== '') this.#wake();
  }

  /** A line of the harness itself, in its place among the guest's. */
  note(text: string): void {
    this.#line(`harness: ${text}`);
  }

  /** No more will come. Waits that are not satisfied fail. */
  end(how: string): void {
    if (this.#partial !== '') this.#line(this.#partial);
    this.#partial = '';
    this.#stop({ kind: 'ended', how });
  }

  #line(raw: string): void {
    const text = raw.replace(/\r+$/, '').replace(/^.*\r(?=.)/, '');
    if (text.trim() === '' || this.#over?.kind === 'sign') return;
    const line = { atMs: this.#now() - this.#started, text };
    this.lines.push(line);
    this.#options.onLine?.(line);
    const sign = findBadSign(text, this.#options.expected ?? new Set());
    if (sign === undefined) {
      this.#wake();
      return;
    }
    this.#stop({ kind: 'sign', sign, line: text });
    this.#options.onBadSign?.();
  }

  #stop(cause: FailureCause): void {
    if (this.#over?.kind === 'sign') return;
    this.#over = cause;
    for (const waiter of [...this.#waiters]) {
      this.#finish(waiter);
      waiter.reject(this.#failure(cause, waiter.pattern, waiter.since));
    }
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) {
      const found = this.#search(waiter.pattern, waiter.options);
      if (found === undefined) continue;
      this.#finish(waiter);
      waiter.resolve(found);
    }
  }

  #finish(waiter: Waiter): void {
    clearTimeout(waiter.timer);
    this.#waiters.delete(waiter);
  }

  #search(pattern: RegExp, options: WaitOptions): RegExpExecArray | undefined {
    if (pattern.global || pattern.sticky) throw new TypeError(`a pattern with state cannot be awaited: ${pattern}`);
    for (let index = this.#next; index < this.lines.length; index += 1) {
      const found = pattern.exec(this.lines[index]!.text);
      if (found === null) continue;
      this.#next = index + 1;
      return found;
    }
    const found = options.also === 'prompt' && this.#over === undefined ? pattern.exec(this.#partial) : null;
    if (found === null) return undefined;
    // The prompt is used up: what follows on the same line starts anew.
    this.#next = this.lines.length;
    this.#partial = this.#partial.slice(found.index + found[0].length);
    return found;
  }

  #failure(cause: FailureCause, pattern: RegExp | undefined, since: number): MachineFailure {
    this.#told ||= cause.kind === 'sign';
    return new MachineFailure({
      machine: this.#options.machine,
      awaited: pattern === undefined ? undefined : String(pattern),
      waitedMs: this.#now() - since,
      cause,
      lines: this.lines.map((line) => `${stamp(line.atMs)} ${line.text}`),
      logPath: undefined,
      command: undefined,
      ...this.#options.describe?.(),
    });
  }
}

/** `[  12.345]`: seconds since the machine's start. */
export function stamp(atMs: number): string {
  return `[${(atMs / 1_000).toFixed(3).padStart(8)}]`;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject
const unfinished = /\x1b(\[[0-?]*[ -/]*)?$/;

/** Without the terminal's control sequences, which firmware uses freely (ECMA-48 section 5.4). A jump of the cursor starts a line. */
export function plain(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject
      .replace(/\x1b\[[0-9;]*H/g, '\n')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject
      .replace(/\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_=>]|[\x00-\x08\x0b\x0c\x0e-\x1a\x7f]/g, '')
  );
}

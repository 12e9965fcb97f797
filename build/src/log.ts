// SPDX-License-Identifier: PMPL-1.0-or-later
// What a person or a machine sees while steps run. Three forms of one story: a live view on a terminal, plain lines elsewhere,
// one JSON object a line with `--json`. It knows nothing of what a step does. Read next: `engine/apply.ts`, which calls it.
import { roughDuration } from './units.ts';

export type LogForm = 'live' | 'plain' | 'json' | 'silent';

/** One step's line. Exactly one of `done`, `cached` and `fail` is called, at the end. */
export interface StepLog {
  /** What runs now: a short phrase, replaced by the next one. */
  progress(text: string): void;
  /** The step ran and its outputs stand. */
  done(note?: string): void;
  /** Nothing had changed; the step was not run. */
  cached(note?: string): void;
  fail(note?: string): void;
}

export interface Log {
  readonly form: LogForm;
  /** Begins a step. Steps may overlap. */
  step(name: string): StepLog;
  /** A line that stays. */
  info(text: string): void;
  /** A line that stays, on standard error in every form but `json`. */
  warn(text: string): void;
  /** A machine's fact: printed with `--json`, ignored elsewhere. */
  event(name: string, fields: Readonly<Record<string, unknown>>): void;
  /** Leaves the terminal as it was found. */
  close(): void;
}

export interface LogOptions {
  readonly form?: LogForm;
  /** Where it goes; standard error by default, so that standard output stays for results. With `json` standard output. */
  readonly write?: (text: string) => void;
  readonly now?: () => number;
}

/** `live` on a terminal, else `plain`. `CI` and `TERM=dumb` mean no terminal. */
export function chooseForm(flags: { readonly json?: boolean }, stream: { readonly isTTY?: boolean } = process.stderr): LogForm {
  if (flags.json === true) return 'json';
  const dumb = process.env.TERM === 'dumb' || process.env.CI !== undefined;
  return stream.isTTY === true && !dumb ? 'live' : 'plain';
}

export function createLog(options: LogOptions = {}): Log {
  const form = options.form ?? chooseForm({});
  const write = options.write ?? ((text: string) => void (form === 'json' ? process.stdout : process.stderr).write(text));
  const now = options.now ?? (() => performance.now());
  if (form === 'json') return jsonLog(write, now);
  if (form === 'silent') return jsonLog(() => undefined, now);
  return form === 'live' ? liveLog(write, now) : plainLog(write, now);
}

const plainPauseMs = 10_000;

function plainLog(write: (text: string) => void, now: () => number): Log {
  return {
    form: 'plain',
    step(name) {
      const started = now();
      let last = -Infinity;
      write(`start   ${name}\n`);
      const end = (word: string, note = '') =>
        write(`${word.padEnd(7)} ${name} (${roughDuration(now() - started)})${note === '' ? '' : `: ${note}`}\n`);
      return {
        progress(text) {
          // A log that is read afterwards needs a sign of life, not every file that a compiler looks at.
          if (now() - last < plainPauseMs) return;
          last = now();
          write(`        ${name}: ${text}\n`);
        },
        done: (note) => end('done', note),
        cached: (note) => end('same', note),
        fail: (note) => end('FAILED', note),
      };
    },
    info: (text) => write(`${text}\n`),
    warn: (text) => write(`warning: ${text}\n`),
    event: () => undefined,
    close: () => undefined,
  };
}

function jsonLog(write: (text: string) => void, now: () => number): Log {
  const emit = (event: string, fields: Readonly<Record<string, unknown>>) => write(`${JSON.stringify({ event, ...fields })}\n`);
  return {
    form: 'json',
    step(step) {
      const started = now();
      emit('start', { step });
      const end = (event: string, note?: string) =>
        emit(event, { step, ms: Math.round(now() - started), ...(note === undefined ? {} : { note }) });
      return {
        progress: (text) => emit('progress', { step, text }),
        done: (note) => end('done', note),
        cached: (note) => end('cached', note),
        fail: (note) => end('fail', note),
      };
    },
    info: (text) => emit('info', { text }),
    warn: (text) => emit('warn', { text }),
    event: emit,
    close: () => undefined,
  };
}

/** Finished steps scroll away above; the running ones stay below with their time and what they do now. */
function liveLog(write: (text: string) => void, now: () => number): Log {
  interface Running {
    readonly name: string;
    readonly started: number;
    text: string;
  }
  const running = new Set<Running>();
  let drawn = 0;
  const width = () => Math.max(40, process.stderr.columns ?? 100);
  const cut = (text: string) => (text.length >= width() ? `${text.slice(0, width() - 2)}…` : text);
  const clear = () => {
    if (drawn > 0) write(`\x1b[${drawn}A\x1b[0J`);
    drawn = 0;
  };
  const draw = () => {
    for (const one of running) {
      write(`${cut(`  … ${one.name.padEnd(12)} ${roughDuration(now() - one.started).padStart(8)}  ${one.text}`)}\n`);
      drawn += 1;
    }
  };
  const line = (text: string) => {
    clear();
    write(`${text}\n`);
    draw();
  };
  const timer = setInterval(() => {
    if (running.size === 0) return;
    clear();
    draw();
  }, 200);
  timer.unref();
  return {
    form: 'live',
    step(name) {
      const one: Running = { name, started: now(), text: '' };
      running.add(one);
      const end = (mark: string, note = '') => {
        running.delete(one);
        line(`  ${mark} ${name.padEnd(12)} ${roughDuration(now() - one.started).padStart(8)}  ${note}`.trimEnd());
      };
      return {
        progress(text) {
          one.text = text;
        },
        done: (note) => end('✔', note),
        cached: (note) => end('=', note ?? 'unchanged'),
        fail: (note) => end('✘', note),
      };
    },
    info: line,
    warn: (text) => line(`warning: ${text}`),
    event: () => undefined,
    close() {
      clearInterval(timer);
      clear();
    },
  };
}

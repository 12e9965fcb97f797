// SPDX-License-Identifier: PMPL-1.0-or-later
// Reads what `cargo test` prints, line by line as it comes: which binary runs, each test's result, and the output of failed ones.
// The text form is read because the JSON form is not stable in Rust 1.96. A binary that ends without its own sum has failed.
import type { TestResult } from './results.ts';

interface Binary {
  readonly suite: string;
  readonly results: TestResult[];
  /** From `running N tests`; undefined until that line. */
  expected: number | undefined;
  finished: boolean;
}

export class CargoReport {
  readonly #workspace: string;
  readonly #binaries: Binary[] = [];
  readonly #messages = new Map<string, string[]>();
  #message: string[] | undefined;

  /** `workspace` stands before each suite's name: `kernel-rs`. */
  constructor(workspace: string) {
    this.#workspace = workspace;
  }

  /** A line of standard output or standard error; cargo names binaries on the one and tests report on the other. */
  line(line: string): void {
    const binary = /^ +(?:Running|Doc-tests) (?:unittests |)?(.+?)(?: \((.+)\))?$/.exec(line);
    if (binary !== null) {
      this.#begin(suiteName(binary[1]!, binary[2]));
      return;
    }
    const current = this.#binaries.at(-1);
    if (current === undefined) return;
    const running = /^running (\d+) tests?$/.exec(line);
    if (running !== null) {
      current.expected = Number(running[1]);
      return;
    }
    const test = /^test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)(?:,.*)?(?: <[\d.]+s>)?$/.exec(line);
    if (test !== null) {
      const outcome = test[2] === 'ok' ? 'passed' : test[2] === 'FAILED' ? 'failed' : 'skipped';
      current.results.push({ suite: current.suite, name: test[1]!, outcome, durationMs: 0 });
      return;
    }
    this.#detail(line, current);
  }

  /** All results. A binary that died in the middle has one more failure, which says so. */
  results(): TestResult[] {
    return this.#binaries.flatMap((binary) => {
      const told = binary.results.map((result) => {
        const message = this.#messages.get(`${binary.suite} ${result.name}`)?.join('\n').trim();
        return result.outcome === 'failed' ? { ...result, message: message ?? 'see the log' } : result;
      });
      if (binary.finished && binary.results.length === (binary.expected ?? 0)) return told;
      if (binary.expected === undefined) return told;
      const message = `${binary.results.length} of ${binary.expected} tests reported, then the program ended`;
      return [...told, { suite: binary.suite, name: 'runs to its end', outcome: 'failed' as const, durationMs: 0, message }];
    });
  }

  #begin(suite: string): void {
    this.#message = undefined;
    this.#binaries.push({ suite: `${this.#workspace} ${suite}`, results: [], expected: undefined, finished: false });
  }

  /** Output of failed tests stands between `---- name stdout ----` lines; the sum ends a binary. */
  #detail(line: string, current: Binary): void {
    if (/^test result: /.test(line)) {
      current.finished = true;
      this.#message = undefined;
      return;
    }
    const head = /^---- (.+) stdout ----$/.exec(line);
    if (head !== null) {
      this.#message = [];
      this.#messages.set(`${current.suite} ${head[1]}`, this.#message);
    } else if (line === 'failures:') this.#message = undefined;
    else this.#message?.push(line);
  }
}

/** `src/lib.rs (target/debug/deps/erofs-0123456789abcdef)` -> `erofs`; other files of the crate keep their path. */
function suiteName(source: string, binary: string | undefined): string {
  const name = binary === undefined ? undefined : /([^/]+)-[0-9a-f]{16}$/.exec(binary)?.[1];
  if (name === undefined) return `${source} (documentation)`;
  return source === 'src/lib.rs' || source === 'src/main.rs' ? name : `${name} (${source})`;
}

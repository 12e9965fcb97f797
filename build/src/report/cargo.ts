// SPDX-License-Identifier: PMPL-1.0-or-later
// Reads what `cargo test` prints, line by line as it comes: which binary runs, each test's result, and the output of failed ones.
// The text form is read because the JSON form is not stable in Rust 1.96. A binary that ends without its own sum has failed.
import type { TestResult } from './results.ts';

interface Binary {
  readonly results: Omit<TestResult, 'suite'>[];
  /** From `running N tests`. */
  readonly expected: number;
  readonly messages: Map<string, string[]>;
  finished: boolean;
}

/**
 * The names of binaries come on standard error and what they report on standard output, and nothing says how the two interleave.
 * So both are kept apart: the n-th name belongs to the n-th report.
 */
export class CargoReport {
  readonly #workspace: string;
  readonly #names: string[] = [];
  readonly #binaries: Binary[] = [];
  #message: string[] | undefined;

  /** `workspace` stands before each suite's name: `kernel-rs`. */
  constructor(workspace: string) {
    this.#workspace = workspace;
  }

  line(line: string, from: 'stdout' | 'stderr'): void {
    if (from === 'stdout') this.#report(line);
    else this.#name(line);
  }

  /** All results. A binary that died in the middle has one more failure, which says so. */
  results(): TestResult[] {
    return this.#binaries.flatMap((binary, index) => {
      const suite = `${this.#workspace} ${this.#names[index] ?? `binary ${index + 1}`}`;
      const told = binary.results.map((result): TestResult => {
        if (result.outcome !== 'failed') return { suite, ...result };
        return { suite, ...result, message: binary.messages.get(result.name)?.join('\n').trim() || 'see the log' };
      });
      if (binary.finished && binary.results.length === binary.expected) return told;
      const message = `${binary.results.length} of ${binary.expected} tests reported, then the program ended`;
      return [...told, { suite, name: 'runs to its end', outcome: 'failed' as const, durationMs: 0, message }];
    });
  }

  #name(line: string): void {
    const binary = /^ +(?:Running|Doc-tests) (?:unittests |)?(.+?)(?: \((.+)\))?$/.exec(line);
    if (binary !== null) this.#names.push(suiteName(binary[1]!, binary[2]));
  }

  #report(line: string): void {
    const running = /^running (\d+) tests?$/.exec(line);
    if (running !== null) {
      this.#message = undefined;
      this.#binaries.push({ results: [], expected: Number(running[1]), messages: new Map(), finished: false });
      return;
    }
    const current = this.#binaries.at(-1);
    if (current === undefined) return;
    const test = /^test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)(?:,.*)?(?: <[\d.]+s>)?$/.exec(line);
    if (test !== null) {
      const outcome = test[2] === 'ok' ? 'passed' : test[2] === 'FAILED' ? 'failed' : 'skipped';
      current.results.push({ name: test[1]!, outcome, durationMs: 0 });
    } else this.#detail(line, current);
  }

  /** Output of failed tests stands between `---- name stdout ----` lines; the sum ends a binary. */
  #detail(line: string, current: Binary): void {
    const head = /^---- (.+) stdout ----$/.exec(line);
    if (/^test result: /.test(line)) {
      current.finished = true;
      this.#message = undefined;
    } else if (head !== null) {
      this.#message = [];
      current.messages.set(head[1]!, this.#message);
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

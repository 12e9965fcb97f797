// SPDX-License-Identifier: PMPL-1.0-or-later
// Runs one part of `just test` and reads what it reported. Every part ends in results, never in an exception of the runner:
// a program that breaks before it can report is one failure with the tail of its output. Only an interruption is passed on.
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Interrupted } from '../errors.ts';
import { type RunResult, run } from '../toolchain/exec.ts';
import { CargoReport } from './cargo.ts';
import { brokenStage, type Stage, type TestResult, wholeStage } from './results.ts';
import { readVitestReport } from './vitest.ts';

export interface StageContext {
  readonly root: string;
  /** Reports and logs go here. */
  readonly out: string;
  readonly signal: AbortSignal;
  /** A line of progress. */
  readonly say: (line: string) => void;
}

export interface Part {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly reads: 'nothing' | 'cargo' | 'vitest';
}

/** Lines of a broken part's output that its failure shows. */
const shownLines = 30;

export async function runPart(part: Part, context: StageContext): Promise<Stage> {
  const log = join(context.out, `${part.name}.log`);
  mkdirSync(dirname(log), { recursive: true });
  writeFileSync(log, '');
  const report = join(context.out, `${part.name}.json`);
  rmSync(report, { force: true });
  const cargo = new CargoReport(part.name);
  const tail: string[] = [];
  const started = performance.now();
  const onLine = (line: string, from: 'stdout' | 'stderr') => {
    appendFileSync(log, `${line}\n`);
    tail.push(line);
    if (tail.length > shownLines) tail.shift();
    if (part.reads === 'cargo') cargo.line(plain(line), from);
    if (worthSaying(part.reads, plain(line))) context.say(line);
  };
  const args = part.reads === 'vitest' ? [...part.args, '--reporter=json', `--outputFile.json=${report}`] : part.args;
  const { code, problem } = await ended(part, args, context, onLine);
  const durationMs = performance.now() - started;
  const broken = (why: string): Stage => brokenStage(part.name, durationMs, [why, ...tail, `log: ${log}`].join('\n'));
  if (problem !== undefined) return broken(problem);
  if (part.reads === 'nothing') return code === 0 ? wholeStage(part.name, durationMs) : broken(`ended with ${code}`);
  let results: TestResult[];
  try {
    results = part.reads === 'cargo' ? cargo.results() : readVitestReport(readFileSync(report, 'utf8'), context.root);
  } catch (error) {
    return broken(`ended with ${code} and left no report: ${error instanceof Error ? error.message : error}`);
  }
  if (results.length === 0) return broken(`ended with ${code} and ran no test`);
  // A runner that says that it failed is believed, whatever its report shows.
  if (code !== 0 && !results.some((result) => result.outcome === 'failed')) {
    return { name: part.name, durationMs, results: [...results, ...broken(`ended with ${code}`).results] };
  }
  return { name: part.name, durationMs, results };
}

async function ended(
  part: Part,
  args: readonly string[],
  context: StageContext,
  onLine: (line: string, from: 'stdout' | 'stderr') => void,
): Promise<{ readonly code: number; readonly problem?: string }> {
  try {
    const result: RunResult = await run(part.program, args, {
      cwd: part.cwd,
      env: { ...part.env, NO_COLOR: '1', FORCE_COLOR: undefined },
      signal: context.signal,
      ok: 'any',
      onLine,
    });
    return { code: result.code };
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    return { code: -1, problem: error instanceof Error ? error.message : String(error) };
  }
}

function worthSaying(reads: Part['reads'], line: string): boolean {
  if (line.trim() === '') return false;
  return reads === 'cargo' ? /^ +(Compiling|Running|Doc-tests|Finished) |^error|^test .* FAILED$|^test result/.test(line) : true;
}

function plain(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject
  return line.replace(/\x1b\[[0-9;]*m/g, '');
}

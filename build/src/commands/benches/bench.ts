// SPDX-License-Identifier: PMPL-1.0-or-later
// What a suite of benchmarks is, and how its figures leave.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Figure, figuresJson } from '../../bench/figures.ts';
import { type Command, type CommandContext, flag } from '../command.ts';

export interface Bench {
  readonly usage: string;
  /** What is measured, and its options; indented as `bench --help` shows them. */
  readonly help: string;
  readonly options: NonNullable<Command['options']>;
  /** The exit code. */
  run(context: CommandContext): Promise<number>;
}

/** Where a suite's own files go; made if it is not there. */
export function benchFolder(root: string, ...below: readonly string[]): string {
  const folder = join(root, 'out', 'bench', ...below);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Writes out/bench/SUITE.json and prints it, or a table; returns the exit code, 1 for `problems` under `--gate`. */
export function report(
  context: CommandContext,
  suite: string,
  result: { readonly figures: readonly Figure[]; readonly table: string; readonly problems?: readonly string[] },
): number {
  const json = figuresJson(result.figures);
  writeFileSync(join(benchFolder(context.root), `${suite}.json`), json);
  context.print(context.json ? json : `${result.table}\nout/bench/${suite}.json`);
  const { problems = [] } = result;
  if (!flag(context.values, 'gate') || problems.length === 0) return 0;
  for (const problem of problems) context.log.info(`gate: ${problem}`);
  return 1;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// What `scripts/peer/abi-bench.c` says, in a cell and on Linux, made into figures. Pure. Under instruction counting its clock counts
// guest instructions, so nanoseconds are instructions; what sleeps or waits for a disk is not measured that way.
import type { Figure } from './figures.ts';

/** Rows whose time passes while nobody runs: under instruction counting the clock jumps over it. */
const idle = new Set(['nanosleep_1us', 'write_fsync_4k']);
/** The loop around every operation, to see that both machines count alike. */
const control = 'loop';

/** In instructions for one operation; a row that the system does not support is not there. */
export function parseAbiBench(lines: readonly string[]): ReadonlyMap<string, number> {
  const rows = lines.flatMap((line) => {
    const row = /^(\w+) \d+ (\d+\.\d)$/.exec(line);
    return row === null ? [] : ([[row[1]!, Number(row[2])]] as const);
  });
  return new Map(rows);
}

/** Rows that the program skipped, each with its errno. */
export function skipped(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const row = /^(\w+) skip (\d+)$/.exec(line);
    return row === null ? [] : [`${row[1]}: errno ${row[2]}`];
  });
}

/** No operation may cost more than this many times what Linux takes. */
const mustRatio = 3;
const goalRatio = 1.5;
const getpid = { must: 450, goal: 312 };

/** `linux.<row>` in instructions, `linux.<row>.ratio` to Linux in the same emulator. */
export function linuxFigures(cell: ReadonlyMap<string, number>, linux: ReadonlyMap<string, number>): Figure[] {
  return [...linux].flatMap(([row, theirs]) => {
    const ours = cell.get(row);
    if (ours === undefined || idle.has(row) || row === control) return [];
    const limit = row === 'getpid' ? getpid : {};
    const how = `${row} of abi-bench in a cell, counted on one CPU; Debian's kernel takes ${theirs}`;
    return [
      { name: `linux.${row}`, value: ours, unit: 'instructions', how, ...limit },
      {
        name: `linux.${row}.ratio`,
        value: ours / theirs,
        unit: 'ratio',
        how: 'the cell divided by Linux',
        must: mustRatio,
        goal: goalRatio,
      },
    ] satisfies Figure[];
  });
}

/** Rows that Linux has and the cell has not, and figures above what they must be, each as a sentence. */
export function linuxProblems(
  figures: readonly Figure[],
  cell: ReadonlyMap<string, number>,
  linux: ReadonlyMap<string, number>,
): string[] {
  const missing = [...linux.keys()].filter((row) => !cell.has(row)).map((row) => `linux.${row}: not there`);
  const over = figures.filter(({ value, must }) => must !== undefined && value > must);
  return [...missing, ...over.map(({ name, value, must }) => `${name}: ${value.toFixed(2)}, at most ${must}`)];
}

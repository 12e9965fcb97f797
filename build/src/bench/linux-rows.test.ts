// SPDX-License-Identifier: PMPL-1.0-or-later
import { describe, expect, it } from 'vitest';
import { linuxFigures, linuxProblems, parseAbiBench, skipped } from './linux-rows.ts';

const said = ['peer', 'loop 1000 3.0', 'getpid 10000 322.9', 'fork_wait 15 351022.4', 'tcp6_pingpong_2proc skip 97'];

describe('what the benchmark program says', () => {
  it('is rows in instructions, and rows that are not supported', () => {
    expect([...parseAbiBench(said)]).toEqual([
      ['loop', 3],
      ['getpid', 322.9],
      ['fork_wait', 351022.4],
    ]);
    expect(skipped(said)).toEqual(['tcp6_pingpong_2proc: errno 97']);
  });

  it('becomes a figure and a ratio for each row; what Linux has alone and what is too slow is a problem', () => {
    const cell = new Map([['getpid', 500]]);
    const linux = new Map([
      ['getpid', 250],
      ['fork_wait', 351022.4],
    ]);
    const figures = linuxFigures(cell, linux);
    expect(figures.map(({ name, value }) => [name, value])).toEqual([
      ['linux.getpid', 500],
      ['linux.getpid.ratio', 2],
    ]);
    expect(linuxProblems(figures, cell, linux)).toEqual(['linux.fork_wait: not there', 'linux.getpid: 500.00, at most 450']);
  });
});

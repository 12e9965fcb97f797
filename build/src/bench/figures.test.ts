// SPDX-License-Identifier: PMPL-1.0-or-later
import { describe, expect, it } from 'vitest';
import { type Figure, figuresTable, median } from './figures.ts';

describe('figures', () => {
  it('stand in a table that marks what was missed', () => {
    const figures: Figure[] = [
      { name: 'build.cold.dev', value: 123.456, unit: 's', how: '' },
      { name: 'build.one-line', value: 9, unit: 's', how: '', must: 15, goal: 10 },
      { name: 'build.nothing', value: 3, unit: 's', how: '', must: 2, goal: 1 },
      { name: 'image.raw', value: 641_728_512, unit: 'bytes', how: '' },
      { name: 'boot.ratio', value: 0.2, unit: 'ratio', how: '', must: 0.25, goal: 0.1 },
    ];
    expect(figuresTable(figures)).toMatchInlineSnapshot(`
      "figure                value  unit    must   goal
      build.cold.dev       123.46  s
      build.one-line         9.00  s      15.00  10.00  goal
      build.nothing          3.00  s       2.00   1.00  MISSED
      image.raw       641,728,512  bytes
      boot.ratio            0.200  ratio  0.250  0.100  ok"
    `);
  });

  it('have a median', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(() => median([])).toThrow(RangeError);
  });
});

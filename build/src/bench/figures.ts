// SPDX-License-Identifier: PMPL-1.0-or-later
// A measured number with its unit and, where there is one, what it should be. Pure: a table for people, JSON for machines.

export interface Figure {
  /** Dotted, from the general to the particular: `build.cold.dev`. */
  readonly name: string;
  readonly value: number;
  readonly unit: 's' | 'bytes' | 'instructions' | 'ratio' | 'count';
  /** How it was measured, in one sentence. */
  readonly how: string;
  /** At most; a figure above it is marked. */
  readonly must?: number;
  readonly goal?: number;
}

export function figuresJson(figures: readonly Figure[]): string {
  return `${JSON.stringify(figures, undefined, 2)}\n`;
}

/** Columns: name, value, unit, must, goal, verdict. */
export function figuresTable(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    number(figure.value, figure.unit),
    figure.unit,
    figure.must === undefined ? '' : number(figure.must, figure.unit),
    figure.goal === undefined ? '' : number(figure.goal, figure.unit),
    verdict(figure),
  ]);
  const all = [['figure', 'value', 'unit', 'must', 'goal', ''], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column === 1 || column === 3 || column === 4 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return all.map(line).join('\n');
}

/** The middle one. Errors: `RangeError` for none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function verdict({ value, must, goal }: Figure): string {
  if (goal !== undefined && value <= goal) return 'goal';
  if (must !== undefined) return value <= must ? 'ok' : 'MISSED';
  return '';
}

function number(value: number, unit: Figure['unit']): string {
  if (unit === 's') return value < 0.01 ? value.toPrecision(3) : value.toFixed(2);
  if (unit === 'ratio') return value.toFixed(3);
  return Math.round(value).toLocaleString('en-GB');
}

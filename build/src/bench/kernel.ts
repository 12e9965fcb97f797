// SPDX-License-Identifier: PMPL-1.0-or-later
// From counts to figures with a verdict, and the tables that a person reads. Pure. Which rows there are: `kernel-rows.ts`;
// where counts come from: `kernel-run.ts`.
import { type Figure, figuresTable } from './figures.ts';
import { type HeavyOperation, heavyOperations, type KernelRow, kernelRows } from './kernel-rows.ts';
import type { Counts } from './kernel-run.ts';

export interface KernelFigure extends Figure {
  /** Heavy operations in one operation. */
  readonly heavy?: Readonly<Partial<Record<HeavyOperation, number>>>;
  readonly heavyMust?: Readonly<Partial<Record<HeavyOperation, number>>>;
  readonly peers: Readonly<Record<string, number>>;
  readonly operations?: number;
}

export function kernelFigures(counts: Counts): KernelFigure[] {
  return kernelRows.flatMap((row) => {
    const found = figure(row, counts);
    return found === undefined ? [] : [found];
  });
}

function figure(row: KernelRow, counts: Counts): KernelFigure | undefined {
  const { name, how, peers, must, goal } = row;
  const said: KernelFigure = {
    name,
    how,
    peers,
    value: counts.longestInterruptsOff.operations,
    unit: 'instructions',
    ...(must === undefined ? {} : { must }),
    ...(goal === undefined ? {} : { goal }),
  };
  if (name === 'kernel.longest_interrupts_off') return said;
  const counted = counts.rows.get(name);
  if (counted === undefined) return undefined;
  const { operations, instructions } = counted;
  const each = (count: number) => Math.round((count / operations) * 10) / 10;
  const heavy = Object.fromEntries(heavyOperations.map((one) => [one, each(counted.heavy[one] ?? 0)]));
  const limits = row.heavy === undefined ? {} : { heavyMust: row.heavy };
  return { ...said, value: each(instructions), operations, heavy, ...limits };
}

/** What a `must` names and the figures do not keep, each as a sentence. */
export function missed(figures: readonly KernelFigure[]): string[] {
  const found = new Map(figures.map((one) => [one.name, one]));
  return kernelRows.flatMap((row) => {
    const it = found.get(row.name);
    if (it === undefined) return row.must === undefined ? [] : [`${row.name}: not there yet`];
    const heavy = tooHeavy(it).map((name) => `${row.name}: ${it.heavy?.[name]} ${name}, at most ${it.heavyMust?.[name]}`);
    return row.must !== undefined && it.value > row.must ? [`${row.name}: ${it.value}, at most ${row.must}`, ...heavy] : heavy;
  });
}

function tooHeavy(it: KernelFigure): HeavyOperation[] {
  return heavyOperations.filter((name) => (it.heavy?.[name] ?? 0) > (it.heavyMust?.[name] ?? Number.POSITIVE_INFINITY));
}

export function kernelTable(figures: readonly KernelFigure[], others: readonly Figure[]): string {
  const found = new Map(figures.map((one) => [one.name, one]));
  const rows = kernelRows.map((row) => {
    const it = found.get(row.name);
    return [
      row.name,
      it === undefined ? '' : number(it.value),
      bound(row.must),
      bound(row.goal),
      verdict(it),
      list(row.peers),
      list(nonZero(it)),
    ];
  });
  const head = ['instructions', 'value', 'must', 'goal', '', 'peers', 'heavy operations in one'];
  return `${columns([head, ...rows])}\n\n${figuresTable(others)}`;
}

function verdict(it: KernelFigure | undefined): string {
  if (it === undefined) return 'not there yet';
  const heavy = tooHeavy(it);
  if (it.must !== undefined && it.value > it.must) return 'MISSED';
  if (heavy.length > 0) return `MISSED: ${heavy.join(', ')}`;
  if (it.goal !== undefined && it.value <= it.goal) return 'goal';
  return it.must === undefined ? '' : 'ok';
}

function nonZero({ heavy = {} }: Partial<KernelFigure> = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(heavy).filter(([, count]) => count > 0));
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const pad = (cell: string, column: number) =>
    column >= 1 && column <= 3 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

const list = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${number(count)}`)
    .join(', ');
const bound = (value: number | undefined) => (value === undefined ? '' : number(value));
const number = (value: number) => value.toLocaleString('en-GB', { maximumFractionDigits: 1 });

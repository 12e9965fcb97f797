// SPDX-License-Identifier: PMPL-1.0-or-later
// Random operations on capabilities in the booted kernel (servers-rs/tests/graph), whose graph must be the model's: the same
// capabilities in the same slots, with the same rights, badges and parents, one kernel object for each of the model's.
import { readFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { run } from '../../build/src/testing.ts';
import { artifact, type Direct, inFolder, it } from '../support/direct.ts';
import { stage } from '../support/stage.ts';

interface Capability {
  readonly table: number;
  readonly slot: number;
  readonly kind: string;
  readonly object: number;
  readonly rights: string;
  readonly badge: string;
  readonly alive?: boolean;
  readonly from: readonly [number, number] | null;
}
type Line = Partial<Capability> & {
  readonly begin?: number;
  readonly end?: unknown;
  readonly thread?: number;
  readonly name?: string;
};

/** The lines of each block that begins with `word`. */
function blocks(lines: readonly string[], word: string): Line[][] {
  const found: Line[][] = [];
  for (const line of lines.filter((one) => one.startsWith(`${word} {`))) {
    const said = JSON.parse(line.slice(word.length + 1)) as Line;
    if (said.begin !== undefined) found.push([]);
    found.at(-1)?.push(said);
  }
  return found;
}

const isCapability = (line: Line): line is Capability => line.slot !== undefined;
const key = (table: number, slot: number) => `${table}.${slot}`;

/** The kernel's graph in the model's words: its own table is 0, the one that it made 1, all others do not matter. */
function kernelGraph(lines: readonly Line[], childSlot: number): Map<string, Capability> {
  const own = lines.find(({ thread, name }) => thread !== undefined && name === 'root')?.table;
  const all = lines.filter(isCapability).filter(({ alive }) => alive);
  const child = all.find(({ table, slot }) => table === own && slot === childSlot)?.object;
  const numbers = new Map([
    [own, 0],
    [child, 1],
  ]);
  const mine = all.filter(({ table }) => numbers.has(table));
  return new Map(
    mine.map((one) => {
      const table = numbers.get(one.table)!;
      const from = numbers.get(one.from![0]);
      return [key(table, one.slot), { ...one, table, from: from === undefined ? null : ([from, one.from![1]] as const) }];
    }),
  );
}

/** All lines of a run that resets itself, by way of a file: a reader that falls behind costs a serial port bytes, and here each counts. */
async function consoleOf(direct: Direct, cpus: number, args: readonly string[]): Promise<string[]> {
  const initrd = await stage('graph', 'dev', args);
  const out = inFolder(direct, 'console');
  const machine = [
    '-M',
    'q35',
    '-cpu',
    'max',
    '-accel',
    'tcg',
    '-smp',
    String(cpus),
    '-m',
    '256',
    '-nodefaults',
    '-display',
    'none',
    '-no-reboot',
  ];
  const boot = ['-kernel', artifact('kernel'), '-initrd', initrd, '-serial', `file:${out}`];
  await run('qemu-system-x86_64', [...machine, ...boot], { signal: AbortSignal.timeout(300_000) });
  return (await readFile(out, 'utf8')).split(/\r?\n/);
}

describe('random operations on capabilities', () => {
  for (const [seed, cpus] of [
    [1, 1],
    [2, 2],
    [3, 4],
  ] as const) {
    it(`leave the graph that the model has, seed ${seed}, ${cpus} CPUs`, async ({ direct }) => {
      const lines = await consoleOf(direct, cpus, [`seed=${seed}`, 'operations=2000', 'reset']);
      expect(lines).toContain('graph end');
      const [kernel, model] = [blocks(lines, 'GRAPH'), blocks(lines, 'MODEL')];
      expect(model.length).toBe(9);
      expect(kernel.length).toBe(model.length);
      const childSlot = model[0]![0]!.begin!;
      // What the program had before it began.
      const before = kernelGraph(kernel[0]!, childSlot);
      let compared = 0;
      for (const [n, told] of model.entries()) {
        const found = kernelGraph(kernel[n]!, childSlot);
        for (const place of before.keys()) found.delete(place);
        const wanted = told.filter(isCapability);
        const objects = new Map<number, string>();
        for (const one of wanted) {
          const { object, alive: _, ...rest } = found.get(key(one.table, one.slot)) ?? { object: undefined, alive: undefined };
          const { object: number, ...said } = one;
          expect(rest, `comparison ${n}, slot ${key(one.table, one.slot)}`).toEqual(said);
          // One object for one object, and another for another.
          const name = `${one.kind} ${object}`;
          expect(objects.get(number) ?? name).toBe(name);
          objects.set(number, name);
        }
        expect(new Set(objects.values()).size).toBe(objects.size);
        expect(found.size, `comparison ${n}`).toBe(wanted.length);
        compared += wanted.length;
      }
      expect(compared).toBeGreaterThan(300);
    });
  }
});

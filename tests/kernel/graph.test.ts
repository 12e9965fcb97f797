// SPDX-License-Identifier: PMPL-1.0-or-later
// Random operations in the booted kernel (servers-rs/tests/graph), whose graph must be the model's: the same capabilities in the
// same slots of every table, with the same rights, badges and parents, one kernel object for each of the model's; pools with the
// same limits and usage, threads with the same payer, table, space, priority and state.
import { readFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { run } from '../../build/src/testing.ts';
import { artifact, type Direct, inFolder, it } from '../support/direct.ts';
import { long } from '../support/samples.ts';
import { stage } from '../support/stage.ts';

/** A line of either graph. Objects have numbers of their own on each side; the kernel's are those of their kind alone. */
interface Line {
  readonly begin?: number;
  readonly end?: unknown;
  readonly pool?: number | null;
  readonly parent?: number;
  readonly limit?: number;
  readonly used?: number;
  readonly thread?: number;
  readonly name?: string;
  readonly space?: number | null;
  readonly priority?: number;
  readonly state?: string;
  readonly table?: number | null;
  readonly slot?: number;
  readonly kind?: string;
  readonly object?: number;
  readonly rights?: string;
  readonly badge?: string;
  readonly alive?: boolean;
  readonly from?: readonly [number, number] | null;
}

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

const slotsOf = (lines: readonly Line[], table: number | undefined) =>
  new Map(lines.filter((one) => one.slot !== undefined && one.table === table).map((one) => [one.slot!, one]));

/** The model's number of an object, and the kernel's: one for one, found by going from table to table. */
class Pairs {
  readonly #model = new Map<string, number>();
  readonly #kernel = new Map<string, number>();

  add(kind: string, model: number, kernel: number, where: string): void {
    const [known, other] = [this.#model.get(`${kind} ${model}`) ?? kernel, this.#kernel.get(`${kind} ${kernel}`) ?? model];
    expect([known, other], `${where}: one object for one object`).toEqual([kernel, model]);
    this.#model.set(`${kind} ${model}`, kernel);
    this.#kernel.set(`${kind} ${kernel}`, model);
  }
  kernel(kind: string, model: number | null | undefined): number | undefined {
    return model === null ? 0 : this.#model.get(`${kind} ${model}`);
  }
  get size(): number {
    return this.#model.size;
  }
}

interface Compared {
  capabilities: number;
  objects: number;
  tables: number;
  threads: number;
  pools: number;
  readonly kinds: Set<string>;
}

/** Compares one graph with the other; what was compared is added up. */
function compare(kernel: readonly Line[], model: readonly Line[], sum: Compared, n: number): void {
  const pairs = new Pairs();
  const root = kernel.find(({ name }) => name === 'root')!;
  const queue = [model[0]!.begin!];
  pairs.add('Table', queue[0]!, root.table!, 'the first table');
  const seen = new Set(queue);
  for (const table of queue) {
    const [told, found] = [slotsOf(model, table), slotsOf(kernel, pairs.kernel('Table', table))];
    expect([...found.keys()].sort(), `comparison ${n}, slots of table ${table}`).toEqual([...told.keys()].sort());
    for (const [slot, one] of told) {
      const where = `comparison ${n}, table ${table}, slot ${slot}`;
      const { kind, rights, badge, alive } = found.get(slot)!;
      expect({ kind, rights, badge, alive }, where).toEqual({
        kind: one.kind,
        rights: one.rights,
        badge: one.badge,
        alive: one.alive,
      });
      sum.capabilities += 1;
      sum.kinds.add(one.kind!);
      if (!one.alive) continue;
      pairs.add(one.kind!, one.object!, found.get(slot)!.object!, where);
      if (one.kind !== 'Table' || seen.has(one.object!)) continue;
      seen.add(one.object!);
      queue.push(one.object!);
    }
  }
  // From where each was derived can be said once every table is known.
  for (const table of queue) {
    const found = slotsOf(kernel, pairs.kernel('Table', table));
    for (const [slot, { from }] of slotsOf(model, table)) {
      const wanted = from === null ? [0, 0] : [pairs.kernel('Table', from![0]), from![1]];
      expect(found.get(slot)!.from, `comparison ${n}, table ${table}, slot ${slot}: derived from`).toEqual(wanted);
    }
  }
  for (const one of model.filter(({ limit }) => limit !== undefined)) {
    const id = pairs.kernel('Pool', one.pool);
    const { limit, used, parent } = kernel.find((line) => line.limit !== undefined && line.pool === id)!;
    const wanted = { limit: one.limit, used: one.used, parent: pairs.kernel('Pool', one.parent) };
    expect({ limit, used, parent }, `comparison ${n}, pool ${one.pool}`).toEqual(wanted);
    sum.pools += 1;
  }
  for (const one of model.filter(({ thread }) => thread !== undefined)) {
    const id = pairs.kernel('Thread', one.thread);
    // Nobody has a capability to it any more.
    if (id === undefined) continue;
    const { pool, priority, state, table, space } = kernel.find((line) => line.thread === id)!;
    const where = `comparison ${n}, thread ${one.thread}`;
    const payer = pairs.kernel('Pool', one.pool) ?? pool;
    expect({ pool, priority, state }, where).toEqual({ pool: payer, priority: one.priority, state: one.state });
    // One that is gone has no number in the model.
    if (one.table !== null) expect(table, where).toBe(pairs.kernel('Table', one.table) ?? table);
    if (one.space !== null) expect(space, where).toBe(pairs.kernel('AddressSpace', one.space) ?? space);
    sum.threads += 1;
  }
  sum.objects += pairs.size;
  sum.tables += queue.length;
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
  await run('qemu-system-x86_64', [...machine, ...boot], { signal: AbortSignal.timeout(long ? 900_000 : 300_000) });
  return (await readFile(out, 'utf8')).split(/\r?\n/);
}

describe('random operations in the booted kernel', () => {
  for (const [seed, cpus] of [
    [1, 1],
    [2, 2],
    [3, 4],
  ] as const) {
    it(`leave the graph that the model has, seed ${seed}, ${cpus} CPUs`, async ({ direct }) => {
      const [rounds, steps] = [long ? 60 : 5, 1_500];
      const args = [`seed=${seed}`, `rounds=${rounds}`, `steps=${steps}`, 'reset'];
      const lines = await consoleOf(direct, cpus, args);
      expect(lines.at(lines.indexOf('graph end') - 1)).toMatch(/^graph done seed/);
      const [kernel, model] = [blocks(lines, 'GRAPH'), blocks(lines, 'MODEL')];
      expect(model.length).toBe(rounds * (steps / 250 + 2));
      expect(kernel.length).toBe(model.length);
      const sum: Compared = { capabilities: 0, objects: 0, tables: 0, threads: 0, pools: 0, kinds: new Set() };
      for (const [n, told] of model.entries()) compare(kernel[n]!, told, sum, n);
      for (const kind of ['Pool', 'Table', 'AddressSpace', 'Memory', 'Thread', 'Endpoint', 'Notification', 'PortRange']) {
        expect(sum.kinds).toContain(kind);
      }
      const { capabilities, tables, threads, pools } = sum;
      expect(Math.min(capabilities / 50, tables, threads, pools), JSON.stringify(sum)).toBeGreaterThan(20);
    });
  }
});

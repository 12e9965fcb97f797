// SPDX-License-Identifier: PMPL-1.0-or-later
// What a person can see of a kernel of the dev profile from outside: trace, capability graph, debugger, refused operations; and that
// a production kernel has none of it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { run, temporaryFolder } from '../../build/src/testing.ts';
import { artifact, inFolder, it } from '../support/direct.ts';
import { root } from '../support/root.ts';
import { stage } from '../support/stage.ts';

const verb = (...args: readonly string[]) => run(process.execPath, [join(root, 'build/dist/run.js'), ...args], { cwd: root });

interface Capability {
  readonly table: number;
  readonly slot: number;
  readonly kind: string;
  readonly rights: string;
  readonly from: readonly [number, number];
}

describe('a development kernel', () => {
  it('is traced in the format that Perfetto opens', async ({ direct }) => {
    const out = inFolder(direct, 'trace.json');
    await verb('trace', '--out', out);
    const { traceEvents } = JSON.parse(await readFile(out, 'utf8'));
    // The Trace Event Format: every event has a name, a phase, a process and a thread; what is not metadata has a time.
    for (const event of traceEvents) {
      expect(event).toMatchObject({ name: expect.any(String), pid: expect.any(Number), tid: expect.any(Number) });
      expect(['X', 'i', 'M']).toContain(event.ph);
      if (event.ph !== 'M') expect(event.ts).toBeGreaterThan(0);
      if (event.ph === 'X') expect(event.dur).toBeGreaterThanOrEqual(0);
    }
    const names = new Set(traceEvents.map(({ ph, name }: { ph: string; name: string }) => `${ph} ${name}`));
    for (const one of ['X storage', 'X virtio-b', 'i Call', 'i Map', 'i Receive']) expect(names).toContain(one);
  });

  it('tells its capability graph, in which no right grew', async () => {
    const { stdout } = await verb('capabilities', '--json');
    const { capabilities, threads, pools } = JSON.parse(stdout) as {
      capabilities: Capability[];
      threads: { name: string }[];
      pools: { limit: number; used: number }[];
    };
    expect(threads.map(({ name }) => name)).toEqual(expect.arrayContaining(['root', 'process', 'uart', 'storage']));
    for (const { limit, used } of pools) expect(used).toBeLessThanOrEqual(limit);
    const at = new Map(capabilities.map((one) => [`${one.table}.${one.slot}`, one]));
    const derived = capabilities.filter(({ from: [table] }) => table !== 0);
    expect(derived.length).toBeGreaterThan(20);
    for (const one of derived) {
      const parent = at.get(one.from.join('.'));
      expect(parent?.kind, `${one.table}.${one.slot}`).toBe(one.kind);
      for (const right of one.rights) expect(parent?.rights, `${one.table}.${one.slot}`).toContain(right);
    }
  });

  it('is seen by a debugger', async ({ direct }) => {
    // A path of a socket has at most 107 bytes.
    const folder = temporaryFolder();
    const socket = join(folder.path, 'gdb');
    const machine = await direct.start({ cpus: 2, gdb: `unix:${socket},server=on,wait=off` });
    await machine.resume();
    await machine.console.waitFor(/^flatracoon: ready /, { timeoutMs: 180_000 });
    const commands = [`target remote ${socket}`, 'flatracoon cpus', 'flatracoon threads', 'flatracoon trace 3', 'detach'];
    const script = join(root, 'scripts/gdb/flatracoon.py');
    const { stdout } = await run('gdb', [
      '-batch',
      '-nx',
      '-x',
      script,
      artifact('kernel'),
      ...commands.flatMap((one) => ['-ex', one]),
    ]);
    folder.remove();
    expect(stdout).toMatch(/^CPU 0: \w+/m);
    expect(stdout).toMatch(/^CPU 1: \w+/m);
    expect(stdout).toMatch(/^#0 /m);
    expect(stdout).toMatch(/^thread \d+ +storage +CPU [01] at \d+ ns$/m);
    expect(stdout).toMatch(/^CPU 0 +\d+ ns (call|run|timer|kick|interrupt|fault) /m);
  });

  it('logs refused operations with the names of thread, operation and object', async ({ direct }) => {
    // The log takes a few lines a second of what is refused at random: more calls than it needs, and an end when all was seen.
    const bundle = await stage('hostile', 'dev', ['calls=100000000']);
    const { console } = await direct.start({ cpus: 2, bundle, disk: 'none' });
    await console.waitFor(/^kernel: attack\w*: [A-Z]\w+ on [A-Z]\w+ 0x[0-9a-f]+ refused: [A-Z]\w+$/, { timeoutMs: 120_000 });
    await console.waitFor(/ refused: (BadArgument|OutOfRange|Misaligned), [a-z]\w*.* is 0x[0-9a-f]+$/, { timeoutMs: 120_000 });
    await console.waitFor(/^kernel: \d+ more refusals were not told$/, { timeoutMs: 120_000 });
  });
});

describe('a production kernel', () => {
  it('has no trace, no dump and no log of refusals in it', async () => {
    const [development, production] = await Promise.all([
      readFile(artifact('kernel', 'dev')),
      readFile(artifact('kernel', 'prod')),
    ]);
    for (const name of ['6kernel5trace', '6kernel4dump', '6kernel7refusal']) {
      expect(development.includes(name), name).toBe(true);
      expect(production.includes(name), name).toBe(false);
    }
  });
});

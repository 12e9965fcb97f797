// SPDX-License-Identifier: PMPL-1.0-or-later
// A built image comes up through firmware: on one and two CPUs, with little and much memory, with and without Secure Boot.
import { describe, expect } from 'vitest';
import { boots, it, soon } from '../support/computer.ts';

describe.concurrent('a fresh image', () => {
  it.for([
    { cpus: 1, memoryMiB: 256, secureBoot: false },
    { cpus: 2, memoryMiB: 256, secureBoot: true },
    { cpus: 1, memoryMiB: 4096, secureBoot: true },
    { cpus: 2, memoryMiB: 4096, secureBoot: false },
  ])(
    'is ready on $cpus CPUs with $memoryMiB MiB, Secure Boot $secureBoot',
    async ({ cpus, memoryMiB, secureBoot }, { computer }) => {
      const machine = await (await computer({ secureBoot })).start({ cpus, memoryMiB });
      await machine.console.waitFor(/^loader: boot slot=A version=\S+/, boots);
      const [, version, slot, bootMs] = await machine.console.waitFor(
        /^flatracoon: ready version=(\S+) slot=(\S+) boot_ms=(\d+)/,
        soon,
      );
      expect(version).toMatch(/^\d+\.\d+\.\d+/);
      expect(slot).toBe('A');
      expect(Number(bootMs)).toBeGreaterThan(0);
      expect(await machine.status()).toBe('running');
    },
  );
});

describe.concurrent('a slot that came up', () => {
  it('is marked good, in both copies of the table', async ({ computer }) => {
    const node = await computer();
    const machine = await node.start();
    await machine.console.waitFor(/^flatracoon: ready /, boots);
    await machine.console.waitFor(/^update: slot=A confirmed/, soon);
    await machine.quit();
    expect(await node.disk.slot('A')).toMatchObject({ successful: true, tries: 0 });
    expect((await node.disk.table()).faults).toEqual([]);
  });

  it('comes up again after a power cut at that moment', async ({ computer }) => {
    const node = await computer();
    const first = await node.start();
    await first.console.waitFor(/^update: slot=A confirmed/, boots);
    await first.powerCut();
    const second = await node.start();
    await second.console.waitFor(/^flatracoon: ready .*slot=A/, boots);
  });
});

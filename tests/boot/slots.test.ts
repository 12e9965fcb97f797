// SPDX-License-Identifier: PMPL-1.0-or-later
// Which slot the loader takes, what it writes before, and what it does when none can be taken.
import { describe, expect } from 'vitest';
import { boots, type Computer, it, soon } from '../support/computer.ts';

/** Boots until the loader jumps, then cuts the power: the system never comes to confirming anything. */
async function bootAndCut(node: Computer, slot: 'A' | 'B'): Promise<void> {
  const machine = await node.start();
  await machine.console.waitFor(new RegExp(`^loader: boot slot=${slot} `), boots);
  await machine.powerCut();
}

describe.concurrent('the loader', () => {
  it('counts tries down exactly, and falls back when they are used up', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await node.disk.setSlots({ A: { priority: 2, tries: 2, successful: false }, B: { priority: 1, tries: 0, successful: true } });
    for (const left of [1, 0]) {
      await bootAndCut(node, 'A');
      expect(await node.disk.slot('A')).toEqual({ priority: 2, tries: left, successful: false });
      expect((await node.disk.table()).faults).toEqual([]);
    }
    await bootAndCut(node, 'B');
    expect(await node.disk.slot('B')).toEqual({ priority: 1, tries: 0, successful: true });
    expect(await node.disk.slot('A')).toEqual({ priority: 2, tries: 0, successful: false });
  });

  it('takes the higher priority', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await node.disk.setSlots({ A: { priority: 1, tries: 0, successful: true }, B: { priority: 2, tries: 0, successful: true } });
    const machine = await node.start();
    await machine.console.waitFor(/^loader: boot slot=B /, boots);
    await machine.console.waitFor(/^flatracoon: ready .*slot=B/, soon);
  });

  it('takes the first of two with the same priority', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await node.disk.setSlots({ A: { priority: 3, tries: 0, successful: true }, B: { priority: 3, tries: 0, successful: true } });
    await bootAndCut(node, 'A');
  });

  it('never takes priority 0, whatever else the attributes say', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await node.disk.setSlots({ A: { priority: 0, tries: 15, successful: true }, B: { priority: 1, tries: 0, successful: true } });
    await bootAndCut(node, 'B');
    expect(await node.disk.slot('A')).toEqual({ priority: 0, tries: 15, successful: true });
  });

  it('names the reasons and stays when nothing can be booted', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    for (const slot of ['A', 'B'] as const) {
      const { offsetBytes, lengthBytes } = await node.disk.partition(`ROOT-${slot}`);
      await node.disk.destroy({ offsetBytes: offsetBytes + lengthBytes - 65_536, lengthBytes: 512 });
    }
    const machine = await node.start({ expected: ['slot-refused', 'no-bootable-slot'] });
    await machine.console.waitFor(/^loader: refused slot=A check=trailer /, boots);
    await machine.console.waitFor(/^loader: refused slot=B check=trailer /, soon);
    await machine.console.waitFor(/^loader: stopped: no bootable slot/, soon);
    // It stays: no reset, no return to the firmware, no second attempt.
    await expect(machine.event('SHUTDOWN', 3_000)).rejects.toThrow('did not come');
    expect(await machine.status()).toBe('running');
    expect(machine.console.seen(/^loader: stopped/)).toHaveLength(1);
    expect(machine.console.seen(/BdsDxe/).length).toBeLessThanOrEqual(2);
  });

  it('says so when both slots were given up, and stays', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await node.disk.setSlots({
      A: { priority: 2, tries: 0, successful: false },
      B: { priority: 0, tries: 0, successful: false },
    });
    const machine = await node.start({ expected: ['slot-refused', 'no-bootable-slot'] });
    await machine.console.waitFor(/^loader: stopped: no bootable slot/, boots);
    expect(machine.console.seen(/^loader: refused slot=A check=attributes /)).toHaveLength(1);
    expect(machine.console.seen(/^loader: refused slot=B check=attributes /)).toHaveLength(1);
  });
});

describe.concurrent('a damaged partition table', () => {
  it('at the start is read from its copy, and repaired', async ({ computer }) => {
    const node = await computer();
    const before = (await node.disk.table()).table;
    await node.disk.destroy({ offsetBytes: 512, lengthBytes: 33 * 512 });
    expect((await node.disk.table()).faults).toHaveLength(1);
    const machine = await node.start();
    await machine.console.waitFor(/^loader: boot slot=A /, boots);
    await machine.quit();
    const after = await node.disk.table();
    expect(after.faults).toEqual([]);
    expect(after.table.entries.map(({ name, guid, first_lba }) => [name, guid, first_lba])).toEqual(
      before.entries.map(({ name, guid, first_lba }) => [name, guid, first_lba]),
    );
  });

  it('at the end is repaired from the start', async ({ computer }) => {
    const node = await computer();
    await node.disk.destroy({ offsetBytes: node.disk.sizeBytes - 512, lengthBytes: 512 });
    const machine = await node.start();
    await machine.console.waitFor(/^loader: boot slot=A /, boots);
    await machine.quit();
    expect((await node.disk.table()).faults).toEqual([]);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// Power goes at any write of a boot: the loader's countdown, the confirmation of the slot. Each boot is recorded once; every state
// that a cut can leave is then made from the recording, judged on the host, and booted.
import { describe, expect } from 'vitest';
import {
  type CutState,
  changes,
  Disk,
  prefixes,
  readTable,
  readWriteLog,
  reordered,
  replay,
  run,
  slotOf,
  tableRegions,
} from '../../build/src/testing.ts';
import { boots, type Computer, it, soon } from '../support/computer.ts';

/** Boots slot A until it is confirmed and gives every state that a power cut on the way can leave, before the boot to after it. */
async function record(node: Computer, before: Disk): Promise<CutState[]> {
  const machine = await node.start({ recordWrites: true });
  await machine.console.waitFor(/^update: slot=A confirmed/, boots);
  await machine.quit();
  const log = await readWriteLog(node.writeLog, node.disk);
  // The recording is complete only if it leads from one disk to the other.
  const replayed = await Disk.over({ path: before.path, format: 'qcow2' }, node.folder, 'replayed');
  await replayed.apply(changes(log));
  await run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'qcow2', replayed.path, node.disk.path]);
  return [...prefixes(log), ...reordered(log)];
}

/** What the partition table says after a cut. Errors: a boot wrote anything but the table, or left no table that can be read. */
async function tableAfter(before: Disk, state: CutState) {
  const { start, end } = tableRegions(before.sizeBytes);
  const disk = { start: await before.read(0, start.lengthBytes), end: await before.read(end.offsetBytes, end.lengthBytes) };
  for (const write of state.writes) {
    const inStart = write.offsetBytes + write.lengthBytes <= start.lengthBytes;
    expect(inStart || write.offsetBytes >= end.offsetBytes, `a write of ${write.lengthBytes} bytes at ${write.offsetBytes}`).toBe(
      true,
    );
    if (inStart) replay(disk.start, [write]);
    else replay(disk.end, [{ ...write, offsetBytes: write.offsetBytes - end.offsetBytes }]);
  }
  return readTable(disk.start, disk.end, before.sizeBytes);
}

const names = (table: { readonly entries: readonly { readonly name: string }[] }) => table.entries.map((entry) => entry.name);

describe('power cut at any write of a first boot', () => {
  it('leaves one good table at least, with both slots to boot; and what is booted comes up', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await node.disk.setSlots({ A: { priority: 2, tries: 3, successful: false }, B: { priority: 1, tries: 0, successful: true } });
    const before = await node.copyOfDisk('before');
    const states = await record(node, before);
    expect(states.length).toBeGreaterThan(4);
    const partitions = names((await before.table()).table);
    const seen = new Set<string>();
    for (const state of states) {
      const { table, faults } = await tableAfter(before, state);
      expect(faults.length, `${state.name}: ${faults.join('; ')}`).toBeLessThanOrEqual(1);
      expect(names(table), state.name).toEqual(partitions);
      const a = slotOf(table, 'A');
      expect(a.priority > 0 && (a.successful || a.tries >= 2), `${state.name}: ${JSON.stringify(a)}`).toBe(true);
      expect(slotOf(table, 'B'), state.name).toEqual({ priority: 1, tries: 0, successful: true });
      seen.add(JSON.stringify(a));
    }
    // Before, counted down, confirmed: all three were met, or this test looked at the wrong boot.
    expect(seen.size).toBeGreaterThanOrEqual(3);
    for (const state of states) {
      const after = await node.withDisk(`${node.name} ${state.name}`, before);
      await after.disk.apply(state.writes);
      const machine = await after.start();
      await machine.console.waitFor(/^flatracoon: ready .*slot=A/, boots);
      await machine.quit();
      expect((await after.disk.table()).faults, state.name).toEqual([]);
      await after.close();
    }
  });
});

describe('power that goes just before a write', () => {
  it('of the countdown: no try is lost unless it was written', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await node.disk.setSlots({ A: { priority: 2, tries: 2, successful: false }, B: { priority: 1, tries: 0, successful: true } });
    const machine = await node.start({ writeFault: { afterWrites: 0, outcome: 'freeze' } });
    await machine.frozenByWrite(boots.timeoutMs);
    expect(machine.console.seen(/^loader: boot /)).toEqual([]);
    await machine.quit();
    expect(await node.disk.slot('A')).toEqual({ priority: 2, tries: 2, successful: false });
    const next = await node.start();
    await next.console.waitFor(/^loader: boot slot=A /, boots);
  });

  it('that fails instead: the loader does not go on with a slot whose try it could not count', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await node.disk.setSlots({ A: { priority: 2, tries: 2, successful: false }, B: { priority: 1, tries: 0, successful: true } });
    const machine = await node.start({ writeFault: { afterWrites: 0, outcome: 'error' }, expected: ['slot-refused'] });
    await machine.console.waitFor(/^loader: refused slot=A /, boots);
    await machine.console.waitFor(/^loader: boot slot=B /, soon);
  });
});

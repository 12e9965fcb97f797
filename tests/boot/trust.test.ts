// SPDX-License-Identifier: PMPL-1.0-or-later
// Whom the loader believes: a slot of another signer, of a revoked or expired key, or older than what has proved itself, is refused.
import { describe, expect } from 'vitest';
import { boots, type Computer, it, soon } from '../support/computer.ts';
import { resignSlot, retrust } from '../support/slots.ts';

/** Makes B the first choice, with A to fall back to. */
const preferB = (node: Computer) =>
  node.disk.setSlots({ A: { priority: 1, tries: 0, successful: true }, B: { priority: 2, tries: 0, successful: true } });

async function refusesB(node: Computer, check: string): Promise<void> {
  const machine = await node.start({ expected: ['slot-refused'] });
  await machine.console.waitFor(new RegExp(`^loader: refused slot=B check=${check} detail=".+"`), boots);
  await machine.console.waitFor(/^loader: boot slot=A /, soon);
  await machine.powerCut();
}

describe.concurrent('a slot', () => {
  it('that a stranger signed is refused', async ({ computer }) => {
    const node = await computer();
    await resignSlot(node, 'B', { stranger: true });
    await preferB(node);
    await refusesB(node, 'signature');
  });

  it('that we signed anew boots: the refusals are not of the way in which these tests make slots', async ({ computer }) => {
    const node = await computer();
    await resignSlot(node, 'B', {});
    await preferB(node);
    const machine = await node.start();
    await machine.console.waitFor(/^loader: boot slot=B /, boots);
    await machine.console.waitFor(/^flatracoon: ready .*slot=B/, soon);
  });

  it('older than one that proved itself is refused, and the firmware remembers that across disks', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await resignSlot(node, 'B', { rollbackIndex: 1_000 });
    await preferB(node);
    // Successful and verified: the loader raises the mark to 1000.
    const newer = await node.start();
    await newer.console.waitFor(/^loader: boot slot=B /, boots);
    await newer.powerCut();
    await node.disk.setSlots({ A: { priority: 3, tries: 0, successful: true } });
    const older = await node.start({ expected: ['slot-refused'] });
    await older.console.waitFor(/^loader: refused slot=A check=rollback detail=".*1000.*"/, boots);
    await older.console.waitFor(/^loader: boot slot=B /, soon);
  });

  it('that is newer but not proved does not forbid the older one', async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await resignSlot(node, 'B', { rollbackIndex: 1_000 });
    await node.disk.setSlots({ A: { priority: 1, tries: 0, successful: true }, B: { priority: 2, tries: 1, successful: false } });
    const newer = await node.start();
    await newer.console.waitFor(/^loader: boot slot=B /, boots);
    await newer.powerCut();
    const older = await node.start();
    await older.console.waitFor(/^loader: boot slot=A /, boots);
  });
});

describe.concurrent('the loader', () => {
  it.for([
    ['revoked', { revoked: true }, 'key-revoked'],
    ['expired', { notAfterSeconds: 1 }, 'key-expired'],
    ['fine, but the rollback index is below the floor', { minimalRollbackIndex: 1_000_000 }, 'rollback'],
  ] as const)('refuses everything when its only key is %s', async ([, change, check], { computer }) => {
    const node = await computer({ image: 'both' });
    await retrust(node, change);
    const machine = await node.start({ expected: ['slot-refused', 'no-bootable-slot'] });
    await machine.console.waitFor(/^loader: stopped: no bootable slot/, boots);
    expect(machine.console.seen(new RegExp(`^loader: refused slot=[AB] check=${check} `))).toHaveLength(2);
  });
});

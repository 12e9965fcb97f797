// SPDX-License-Identifier: PMPL-1.0-or-later
// One flipped bit anywhere in a slot: the loader refuses the slot by the right check and takes the other one, or the damage is
// contained by who reads it. Nothing damaged is ever used.
import { beforeAll, describe, expect } from 'vitest';
import { Disk } from '../../build/src/testing.ts';
import { boots, it, soon } from '../support/computer.ts';
import { imageForTests } from '../support/image.ts';
import { samples } from '../support/samples.ts';
import { type SlotRegions, slotRegions } from '../support/slot-regions.ts';

const program = 'programs/hello';
let regions: SlotRegions;

beforeAll(async () => {
  const { path, format } = await imageForTests('both', 'dev');
  regions = await slotRegions(await Disk.at(path, format), 'A', program);
});

const refusals: readonly (readonly [string, string, (regions: SlotRegions) => number])[] = [
  ["the trailer's header", 'trailer', (at) => at.trailerHeader],
  ['the commit', 'signature', (at) => at.commit],
  ['the signature', 'signature', (at) => at.signature],
  ['the verity superblock', 'verity-superblock', (at) => at.veritySuperblock],
  ['the top of the hash tree', 'verity-root', (at) => at.treeLevels[0]!],
  ['the bottom of the hash tree', 'verity-data', (at) => at.treeLevels.at(-1)!],
  ["the kernel's data", 'verity-data', (at) => at.kernel],
  ["the bundle's data", 'verity-data', (at) => at.bundle],
];

describe.concurrent('one flipped bit', () => {
  const cases = samples([5, 0, 1, 2, 3, 4, 6, 7], 1).flatMap((bit) => refusals.map((one) => [...one, bit] as const));

  it.for(cases)('in %s: slot A is refused by the check %s and slot B comes up', async ([, check, where, bit], { computer }) => {
    const node = await computer({ image: 'both' });
    await node.disk.flipBit(where(regions), bit);
    const machine = await node.start({ expected: ['slot-refused', 'verity-mismatch'] });
    await machine.console.waitFor(new RegExp(`^loader: refused slot=A check=${check} detail=".+"`), boots);
    await machine.console.waitFor(/^loader: boot slot=B /, soon);
    await machine.console.waitFor(/^flatracoon: ready .*slot=B/, soon);
  });

  it("in a program's data is found when it is read, and the program does not run", async ({ computer }) => {
    const node = await computer({ image: 'both' });
    await node.disk.flipBit(regions.program, 5);
    const machine = await node.start({ expected: ['verity-mismatch', 'degraded', 'server-fault'] });
    await machine.console.waitFor(/^loader: boot slot=A /, boots);
    await machine.console.waitFor(/verity|does not have the digest|unverified/i, soon);
    expect(machine.console.seen(/^hello: /)).toEqual([]);
  });
});

describe.concurrent('a sector that cannot be read', () => {
  it("in the kernel's data: slot A is refused and slot B comes up", async ({ computer }) => {
    const node = await computer({ image: 'both' });
    const machine = await node.start({ readFaults: [{ sector: regions.kernel / 512 }], expected: ['slot-refused'] });
    await machine.console.waitFor(/^loader: refused slot=A check=(read|contents) /, boots);
    await machine.console.waitFor(/^flatracoon: ready .*slot=B/, soon);
  });
});

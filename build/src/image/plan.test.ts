// SPDX-License-Identifier: PMPL-1.0-or-later
import { describe, expect, test } from 'vitest';
import { UserError, UserErrors } from '../errors.ts';
import { decodeGpt, encodeGpt } from './gpt.ts';
import { type PlanInput, planImage, type ResolvedPartition, renderPlan, tableOf } from './plan.ts';

const MIB = 2 ** 20;
const ESP_TYPE = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
const ROOT_TYPE = '5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6';
const esp: ResolvedPartition = {
  order: 10,
  name: 'esp',
  label: 'EFI-SYSTEM',
  type: ESP_TYPE,
  size_bytes: 64 * MIB,
  content: 'fat',
  where: 'images/partitions/10-esp.ncl',
};
const rootA: ResolvedPartition = {
  order: 20,
  name: 'root-a',
  label: 'ROOT-A',
  type: ROOT_TYPE,
  size_bytes: 512 * MIB,
  content: 'slot',
  slot: 'A',
  slot_state: { priority: 1, tries: 3, successful: false },
  where: 'images/partitions/20-root-a.ncl',
};
const rootB: ResolvedPartition = {
  ...rootA,
  order: 30,
  name: 'root-b',
  label: 'ROOT-B',
  slot: 'B',
  where: 'images/partitions/30-root-b.ncl',
};
const data: ResolvedPartition = {
  order: 90,
  name: 'data',
  label: 'DATA',
  type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  size_bytes: 32 * MIB,
  content: 'empty',
  where: 'images/partitions/90-data.ncl',
};
const input: PlanInput = { partitions: [esp, rootA, rootB, data], seed: 'test', slots: 'A' };

function refusal(change: Partial<PlanInput>): UserError {
  try {
    planImage({ ...input, ...change });
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('a plan', () => {
  test('reads as one line a partition', () => {
    expect(renderPlan(planImage(input))).toMatchInlineSnapshot(`
      "10 esp     fat           2 MiB .. 66 MiB       64 MiB   EFI-SYSTEM
      20 root-a  erofs+verity  66 MiB .. 578 MiB     512 MiB  ROOT-A      slot A priority 1 tries 3 successful 0
      30 root-b  empty slot    578 MiB .. 1090 MiB   512 MiB  ROOT-B      slot B priority 0 tries 0 successful 0
      90 data    empty         1090 MiB .. 1122 MiB  32 MiB   DATA
      disk  1124 MiB, 2301952 sectors of 512 bytes"
    `);
  });

  test('is the same from the same input, in whatever order the partitions came', () => {
    expect(planImage({ ...input, partitions: [data, rootB, esp, rootA] })).toEqual(planImage(input));
    expect(planImage({ ...input, seed: 'other' }).disk_guid).not.toBe(planImage(input).disk_guid);
  });

  test('aligns every start to 2 MiB and the disk too', () => {
    const odd = planImage({ ...input, partitions: [{ ...esp, size_bytes: 512 * 3 }, rootA, rootB, data] });
    for (const partition of odd.partitions) expect(partition.start_bytes % (2 * MIB)).toBe(0);
    expect(odd.size_bytes % (2 * MIB)).toBe(0);
  });

  test('gives an empty slot priority 0, and a filled B its own state', () => {
    expect(planImage(input).partitions.map((one) => one.attributes)).toEqual(
      ['0', '31000000000000', '0', '0'].map((hex) => hex.padStart(16, '0')),
    );
    const both = planImage({ ...input, slots: 'both' });
    expect(both.partitions[2]).toMatchObject({ filled: true, attributes: '0031000000000000' });
  });

  test('makes a table that is read back', () => {
    const plan = planImage(input);
    const { start, end } = encodeGpt(tableOf(plan));
    expect(decodeGpt(start, end, plan)).toMatchObject({ faults: [], table: { disk_guid: plan.disk_guid } });
  });

  test('cannot be changed', () => {
    const plan = planImage(input);
    expect(() => Object.assign(plan.partitions[0] ?? {}, { start_bytes: 0 })).toThrow(TypeError);
  });

  test('keeps configured GUIDs', () => {
    const guid = '11111111-2222-4333-8444-555555555555';
    const plan = planImage({ ...input, partitions: [{ ...esp, guid }], disk: { guid: '00000000-0000-0000-0000-000000000001' } });
    expect(plan.partitions[0]?.guid).toBe(guid);
    expect(plan.disk_guid).toBe('00000000-0000-0000-0000-000000000001');
  });
});

describe('refused:', () => {
  test('overlapping partitions', () => {
    const error = refusal({ partitions: [esp, { ...rootA, start_bytes: 32 * MIB }] });
    expect(error.code).toBe('image/overlap');
    expect(error.message).toBe('image: root-a (32 MiB .. 544 MiB) overlaps esp (2 MiB .. 66 MiB)');
  });

  test('a partition inside the table', () => {
    expect(refusal({ partitions: [{ ...esp, start_bytes: 512 }] }).code).toBe('image/overlap');
  });

  test('a partition too small for its content, with the five largest files', () => {
    const largest = ['a', 'b', 'c', 'd', 'e', 'f'].map((name, index) => ({
      path: `/usr/lib/${name}`,
      size_bytes: (100 - index) * MIB,
    }));
    const error = refusal({ contents: { 'root-a': { size_bytes: 531 * MIB, largest } } });
    expect(error.code).toBe('image/too-small');
    expect(error.message).toMatch(/^image: root-a needs 531 MiB but its partition holds 512 MiB; the largest files in it:/u);
    expect(error.message).toContain('/usr/lib/e');
    expect(error.message).not.toContain('/usr/lib/f');
    expect(error.where).toBe('images/partitions/20-root-a.ncl, field size');
    expect(error.hint).toContain('531 MiB');
  });

  test('a size that is not a multiple of the sector', () => {
    const error = refusal({ partitions: [{ ...esp, size_bytes: 1000 }] });
    expect(error.code).toBe('image/size-not-sectors');
    expect(error.message).toBe('image: esp is 1000 bytes, which is not a multiple of the 512-byte sector');
    expect(refusal({ disk: { size_bytes: 10 ** 9 + 1 } }).code).toBe('image/size-not-sectors');
  });

  test('partitions that exceed the disk', () => {
    const error = refusal({ disk: { size_bytes: 600 * MIB } });
    expect(error).toBeInstanceOf(UserErrors);
    expect(error.code).toBe('image/exceeds-disk');
  });

  test('a last partition that leaves no room for the backup table', () => {
    expect(refusal({ partitions: [esp], disk: { size_bytes: 66 * MIB } }).code).toBe('image/exceeds-disk');
  });

  test('a duplicate GUID, also one that was derived', () => {
    const guid = '11111111-2222-4333-8444-555555555555';
    expect(
      refusal({
        partitions: [
          { ...esp, guid },
          { ...rootA, guid },
        ],
      }).code,
    ).toBe('image/duplicate-guid');
    const derived = planImage(input).partitions[1]?.guid ?? '';
    expect(refusal({ partitions: [{ ...esp, guid: derived }, rootA] }).code).toBe('image/duplicate-guid');
  });

  test('a duplicate label, name or slot', () => {
    expect(refusal({ partitions: [esp, { ...rootA, label: 'EFI-SYSTEM' }] }).message).toContain('the same label EFI-SYSTEM');
    expect(refusal({ partitions: [esp, { ...rootA, name: 'esp' }] }).code).toBe('image/duplicate-name');
    expect(refusal({ partitions: [rootA, { ...rootB, slot: 'A' }] }).code).toBe('image/duplicate-slot');
  });

  test('a GUID that is none, a label that is too long, a size of nothing', () => {
    expect(refusal({ partitions: [{ ...esp, type: 'efi' }] }).code).toBe('image/bad-guid');
    expect(refusal({ partitions: [{ ...esp, label: 'x'.repeat(37) }] }).code).toBe('image/label-length');
    expect(refusal({ partitions: [{ ...esp, size_bytes: 0 }] }).code).toBe('image/no-size');
  });

  test('a start that is no sector', () => {
    expect(refusal({ partitions: [{ ...esp, start_bytes: 1 }] }).code).toBe('image/start-not-sectors');
  });

  test('a slot whose type the loader does not look for', () => {
    const error = refusal({ partitions: [{ ...rootA, type: '3884dd41-8582-4404-b9a8-e9b84f2df50e' }] });
    expect(error).toMatchObject({ code: 'image/slot-type', where: 'images/partitions/20-root-a.ncl, field type' });
  });

  test('a slot without its letter', () => {
    const { slot: _, ...without } = rootA;
    expect(refusal({ partitions: [without] }).code).toBe('image/slot-content');
  });

  test('more partitions than entries', () => {
    const many = Array.from({ length: 129 }, (_, index) => ({ ...data, name: `d${index}`, label: `D${index}`, size_bytes: 512 }));
    expect(refusal({ partitions: many }).code).toBe('image/too-many-partitions');
  });

  test('several mistakes together', () => {
    const error = refusal({
      partitions: [
        { ...esp, size_bytes: 1 },
        { ...rootA, label: '' },
      ],
    });
    expect(error).toBeInstanceOf(UserErrors);
    expect((error as UserErrors).errors.map((one) => one.code)).toEqual(['image/size-not-sectors', 'image/label-length']);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { partitionInfo, printTable, verifyTable } from '../toolchain/sgdisk.ts';
import { decodeGpt, decodeSlotState, encodeGpt, encodeSlotState, type GptTable } from './gpt.ts';
import { decodeGuid, derivedGuid, encodeGuid } from './guid.ts';

const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
const FLATCAR_ROOT = '5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6';
const disk = { sector_bytes: 512, disk_sectors: 131_072 };
const table: GptTable = {
  ...disk,
  disk_guid: '00000000-0000-0000-0000-000000000001',
  entries: [
    { number: 1, type: ESP, guid: derivedGuid('t', 'a'), name: 'EFI-SYSTEM', first_lba: 4096, last_lba: 8191, attributes: 0n },
    {
      number: 3,
      type: FLATCAR_ROOT,
      guid: derivedGuid('t', 'b'),
      name: 'ROOT-A',
      first_lba: 8192,
      last_lba: 16_383,
      attributes: encodeSlotState({ priority: 1, tries: 3, successful: false }),
    },
  ],
};

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gpt-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function written(bytes: GptTable, name: string): Promise<string> {
  const path = join(folder, name);
  const { start, end, end_offset_bytes } = encodeGpt(bytes);
  const file = await open(path, 'w');
  await file.truncate(bytes.disk_sectors * bytes.sector_bytes);
  await file.write(start, 0, start.length, 0);
  await file.write(end, 0, end.length, end_offset_bytes);
  await file.close();
  return path;
}

describe('a table that we wrote', () => {
  test('has no problem for sgdisk, and says there what we meant', async () => {
    const path = await written(table, 'plain.raw');
    expect(await verifyTable(path)).toEqual([]);
    const info = await partitionInfo(path, 3);
    expect(info['Partition GUID code']).toContain(FLATCAR_ROOT.toUpperCase());
    expect(info['Partition unique GUID']).toBe(derivedGuid('t', 'b').toUpperCase());
    expect(info['First sector']).toMatch(/^8192 /u);
    expect(info['Last sector']).toMatch(/^16383 /u);
    expect(info['Attribute flags']).toBe('0031000000000000');
    expect(info['Partition name']).toBe("'ROOT-A'");
    expect(await printTable(path)).toContain('00000000-0000-0000-0000-000000000001');
  });

  test('ends exactly with the disk', () => {
    const { end, end_offset_bytes } = encodeGpt(table);
    expect(end_offset_bytes + end.length).toBe(disk.disk_sectors * 512);
  });

  test('is read back as it was, whatever is in it', () => {
    const guid = fc
      .uuid()
      .map((text) => text.toLowerCase())
      .filter((text) => !text.startsWith('00000000-0000-0000'));
    const entry = fc.record({
      number: fc.integer({ min: 1, max: 128 }),
      type: guid,
      guid,
      name: fc.string({ maxLength: 36, unit: fc.integer({ min: 0x20, max: 0x7ff }).map((code) => String.fromCodePoint(code)) }),
      first_lba: fc.integer({ min: 34, max: 60_000 }),
      last_lba: fc.integer({ min: 60_000, max: 131_000 }),
      attributes: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    });
    const tables = fc.record({
      disk_guid: guid,
      entries: fc.uniqueArray(entry, { selector: (one) => one.number, maxLength: 128 }),
      sector_bytes: fc.constantFrom(512, 4096),
    });
    fc.assert(
      fc.property(tables, ({ disk_guid, entries, sector_bytes }) => {
        const sorted = [...entries].sort((one, other) => one.number - other.number);
        const made: GptTable = { disk_sectors: 131_072, sector_bytes, disk_guid, entries: sorted };
        const { start, end } = encodeGpt(made);
        expect(decodeGpt(start, end, made)).toEqual({ table: made, faults: [] });
      }),
      { numRuns: 60 },
    );
  });
});

describe('a damaged table', () => {
  test('with a flipped bit anywhere in one copy is read from the other, and the fault is named', () => {
    const { start, end } = encodeGpt(table);
    // Header (92 bytes) and array (16 KiB): all that a CRC covers.
    const place = fc.oneof(fc.integer({ min: 0, max: 91 }), fc.integer({ min: 512, max: 512 + 16_383 }));
    fc.assert(
      fc.property(place, fc.integer({ min: 0, max: 7 }), (at, bit) => {
        const broken = Buffer.from(start);
        broken.writeUInt8(broken.readUInt8(512 + at) ^ (1 << bit), 512 + at);
        const reading = decodeGpt(broken, end, disk);
        expect(reading.table).toEqual(table);
        expect(reading.faults.map((fault) => fault.copy)).toEqual(['primary']);
      }),
      { numRuns: 200 },
    );
  });

  test('in both copies is refused', () => {
    const { start, end } = encodeGpt(table);
    start.fill(0, 512, 1024);
    end.fill(0, end.length - 512);
    expect(decodeGpt(start, end, disk)).toEqual({
      table: undefined,
      faults: [
        { copy: 'primary', why: 'the signature EFI PART is missing' },
        { copy: 'backup', why: 'the signature EFI PART is missing' },
      ],
    });
  });

  test('of random bytes never throws', () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array));
    fc.assert(
      fc.property(bytes(34 * 512), bytes(33 * 512), (start, end) => {
        start.write('EFI PART', 512);
        expect(decodeGpt(start, end, disk).table).toBeUndefined();
      }),
      { numRuns: 20 },
    );
  });

  test('whose copies are whole but differ says so', () => {
    const other = { ...table, disk_guid: '00000000-0000-0000-0000-000000000002' };
    const reading = decodeGpt(encodeGpt(table).start, encodeGpt(other).end, disk);
    expect(reading.table?.disk_guid).toBe(table.disk_guid);
    expect(reading.faults).toEqual([{ copy: 'backup', why: 'the two copies are whole but differ' }]);
  });

  test('of a disk shorter than a table is refused', () => {
    expect(decodeGpt(Buffer.alloc(512), Buffer.alloc(0), { sector_bytes: 512, disk_sectors: 1 }).table).toBeUndefined();
  });
});

describe('slot attributes', () => {
  test("are Flatcar's: priority 2 tries 1 is 0x0012000000000000, a confirmed slot 0x0101000000000000", () => {
    expect(encodeSlotState({ priority: 2, tries: 1, successful: false })).toBe(0x0012_0000_0000_0000n);
    expect(encodeSlotState({ priority: 1, tries: 0, successful: true })).toBe(0x0101_0000_0000_0000n);
    expect(decodeSlotState(0x0131_0000_0000_0005n)).toEqual({ priority: 1, tries: 3, successful: true });
  });
  test('over 15 are a wrong program', () => {
    expect(() => encodeSlotState({ priority: 16, tries: 0, successful: false })).toThrow(RangeError);
  });
});

describe('GUIDs', () => {
  test('are mixed-endian on disk', () => {
    expect(encodeGuid(ESP).toString('hex')).toBe('28732ac11ff8d211ba4b00a0c93ec93b');
    expect(decodeGuid(encodeGuid(ESP))).toBe(ESP);
  });
  test('from a seed depend on seed and name, and are well-formed', () => {
    expect(derivedGuid('a', 'x')).toBe(derivedGuid('a', 'x'));
    expect(new Set([derivedGuid('a', 'x'), derivedGuid('a', 'y'), derivedGuid('b', 'x')]).size).toBe(3);
    expect(derivedGuid('a', 'x')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u);
  });
});

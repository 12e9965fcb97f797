// SPDX-License-Identifier: PMPL-1.0-or-later
//
// The GUID partition table (UEFI 2.10, section 5.3) as bytes: protective MBR, both headers, both arrays, every CRC.
// Pure: buffers in, buffers out, the same bytes for the same table. It opens no file and chooses no offset:
// plan.ts chooses, apply.ts writes. The loader and the storage server have their own reader in servers-rs/lib/gpt.

import { crc32 } from 'node:zlib';
import { decodeGuid, encodeGuid } from './guid.ts';

export interface GptEntry {
  /** Place in the array, from 1, as sgdisk and Linux count. */
  readonly number: number;
  readonly type: string;
  readonly guid: string;
  /** At most 36 UTF-16 code units. */
  readonly name: string;
  readonly first_lba: number;
  /** Inclusive, as on disk. */
  readonly last_lba: number;
  readonly attributes: bigint;
}

export interface GptTable {
  readonly disk_guid: string;
  readonly sector_bytes: number;
  readonly disk_sectors: number;
  readonly entries: readonly GptEntry[];
}

/** The two pieces of a disk that a table occupies. */
export interface GptBytes {
  /** Protective MBR, primary header and primary array: written at byte 0. */
  readonly start: Buffer;
  /** Backup array and backup header: written at `end_offset_bytes`, reaching exactly to the end of the disk. */
  readonly end: Buffer;
  readonly end_offset_bytes: number;
}

/** 128 entries of 128 bytes: what every tool writes and the least that UEFI allows (16 KiB). */
export const ENTRY_COUNT = 128;
const ENTRY_BYTES = 128;
const ARRAY_BYTES = ENTRY_COUNT * ENTRY_BYTES;
const HEADER_BYTES = 92;
const SIGNATURE = 'EFI PART';
const REVISION_1_0 = 0x0001_0000;
export const NAME_UNITS = 36;

export const arraySectors = (sector_bytes: number): number => Math.ceil(ARRAY_BYTES / sector_bytes);
/** First sector after MBR, header and array. */
export const firstUsableLba = (sector_bytes: number): number => 2 + arraySectors(sector_bytes);
/** Last sector before the backup array; negative for a disk too small to hold a table. */
export const lastUsableLba = (disk_sectors: number, sector_bytes: number): number =>
  disk_sectors - 2 - arraySectors(sector_bytes);

/** The bytes of a table. Throws RangeError for a table that plan.ts would have refused: a wrong program, not a wrong input. */
export function encodeGpt(table: GptTable): GptBytes {
  const { sector_bytes, disk_sectors } = table;
  const array = encodeArray(table);
  const last_lba = disk_sectors - 1;
  const array_sectors = arraySectors(sector_bytes);
  if (firstUsableLba(sector_bytes) > lastUsableLba(disk_sectors, sector_bytes)) {
    throw new RangeError(`a disk of ${disk_sectors} sectors cannot hold a partition table`);
  }

  const start = Buffer.alloc(firstUsableLba(sector_bytes) * sector_bytes);
  protectiveMbr(disk_sectors).copy(start, 0);
  header(table, array, { my_lba: 1, alternate_lba: last_lba, array_lba: 2 }).copy(start, sector_bytes);
  array.copy(start, 2 * sector_bytes);

  const backup_array_lba = last_lba - array_sectors;
  const end = Buffer.alloc((array_sectors + 1) * sector_bytes);
  array.copy(end, 0);
  header(table, array, { my_lba: last_lba, alternate_lba: 1, array_lba: backup_array_lba }).copy(
    end,
    array_sectors * sector_bytes,
  );
  return { start, end, end_offset_bytes: backup_array_lba * sector_bytes };
}

interface Place {
  readonly my_lba: number;
  readonly alternate_lba: number;
  readonly array_lba: number;
}

function header(table: GptTable, array: Buffer, place: Place): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(SIGNATURE, 0, 'ascii');
  bytes.writeUInt32LE(REVISION_1_0, 8);
  bytes.writeUInt32LE(HEADER_BYTES, 12);
  bytes.writeBigUInt64LE(BigInt(place.my_lba), 24);
  bytes.writeBigUInt64LE(BigInt(place.alternate_lba), 32);
  bytes.writeBigUInt64LE(BigInt(firstUsableLba(table.sector_bytes)), 40);
  bytes.writeBigUInt64LE(BigInt(lastUsableLba(table.disk_sectors, table.sector_bytes)), 48);
  encodeGuid(table.disk_guid).copy(bytes, 56);
  bytes.writeBigUInt64LE(BigInt(place.array_lba), 72);
  bytes.writeUInt32LE(ENTRY_COUNT, 80);
  bytes.writeUInt32LE(ENTRY_BYTES, 84);
  bytes.writeUInt32LE(crc32(array), 88);
  // Over the header with its own field zero, so last.
  bytes.writeUInt32LE(crc32(bytes), 16);
  return bytes;
}

function encodeArray(table: GptTable): Buffer {
  const array = Buffer.alloc(ARRAY_BYTES);
  for (const entry of table.entries) {
    if (!Number.isInteger(entry.number) || entry.number < 1 || entry.number > ENTRY_COUNT) {
      throw new RangeError(`partition number ${entry.number} is not within 1..${ENTRY_COUNT}`);
    }
    if (entry.name.length > NAME_UNITS) throw new RangeError(`partition name "${entry.name}" is over ${NAME_UNITS} units`);
    const at = (entry.number - 1) * ENTRY_BYTES;
    encodeGuid(entry.type).copy(array, at);
    encodeGuid(entry.guid).copy(array, at + 16);
    array.writeBigUInt64LE(BigInt(entry.first_lba), at + 32);
    array.writeBigUInt64LE(BigInt(entry.last_lba), at + 40);
    array.writeBigUInt64LE(entry.attributes, at + 48);
    array.write(entry.name, at + 56, 'utf16le');
  }
  return array;
}

/** One partition of type 0xEE over the whole disk (UEFI 2.10, table 5.4), so that tools that know no GPT keep off. */
function protectiveMbr(disk_sectors: number): Buffer {
  const mbr = Buffer.alloc(512);
  const at = 446;
  mbr.writeUInt8(0x00, at); // not bootable
  mbr.set([0x00, 0x02, 0x00], at + 1); // CHS 0/0/2, which is LBA 1
  mbr.writeUInt8(0xee, at + 4);
  mbr.set([0xff, 0xff, 0xff], at + 5); // CHS end: "more than CHS can say"
  mbr.writeUInt32LE(1, at + 8);
  mbr.writeUInt32LE(Math.min(disk_sectors - 1, 0xffff_ffff), at + 12);
  mbr.writeUInt16LE(0xaa55, 510);
  return mbr;
}

/** Why a copy of the table is not to be believed. */
export interface GptFault {
  readonly copy: 'primary' | 'backup';
  readonly why: string;
}

export type GptReading =
  | { readonly table: GptTable; readonly faults: readonly GptFault[] }
  | {
      readonly table: undefined;
      readonly faults: readonly GptFault[];
    };

/**
 * Reads both copies. `start` is the disk's first bytes, `end` its last ones (as `encodeGpt` makes them; more is fine for `start`).
 * The table is the primary's when that is whole, otherwise the backup's; every fault found is listed, a disagreement of two whole copies too.
 */
export function decodeGpt(
  start: Buffer,
  end: Buffer,
  disk: { readonly sector_bytes: number; readonly disk_sectors: number },
): GptReading {
  const { sector_bytes, disk_sectors } = disk;
  const array_sectors = arraySectors(sector_bytes);
  const faults: GptFault[] = [];
  if (start.length < firstUsableLba(sector_bytes) * sector_bytes || end.length !== (array_sectors + 1) * sector_bytes) {
    return { table: undefined, faults: [{ copy: 'primary', why: 'the disk is too small to hold a partition table' }] };
  }
  const read = (copy: GptFault['copy'], head: Buffer, array: Buffer, place: Place): GptTable | undefined => {
    const found = decodeCopy(head, array, place, disk);
    if (typeof found !== 'string') return found;
    faults.push({ copy, why: found });
    return undefined;
  };
  const last = disk_sectors - 1;
  const primary = read('primary', start.subarray(sector_bytes, 2 * sector_bytes), start.subarray(2 * sector_bytes), {
    my_lba: 1,
    alternate_lba: last,
    array_lba: 2,
  });
  const backup = read('backup', end.subarray(array_sectors * sector_bytes), end, {
    my_lba: last,
    alternate_lba: 1,
    array_lba: last - array_sectors,
  });
  if (primary && backup && !sameTable(primary, backup)) {
    faults.push({ copy: 'backup', why: 'the two copies are whole but differ' });
  }
  return { table: primary ?? backup, faults };
}

function decodeCopy(
  head: Buffer,
  array_and_more: Buffer,
  place: Place,
  disk: { readonly sector_bytes: number; readonly disk_sectors: number },
): GptTable | string {
  if (head.toString('latin1', 0, 8) !== SIGNATURE) return 'the signature EFI PART is missing';
  const header_bytes = head.readUInt32LE(12);
  if (header_bytes < HEADER_BYTES || header_bytes > disk.sector_bytes) return `the header says it is ${header_bytes} bytes long`;
  const zeroed = Buffer.from(head.subarray(0, header_bytes));
  zeroed.writeUInt32LE(0, 16);
  if (crc32(zeroed) !== head.readUInt32LE(16)) return "the header's CRC is wrong";
  if (head.readBigUInt64LE(24) !== BigInt(place.my_lba)) return 'the header says it stands elsewhere';
  if (head.readBigUInt64LE(32) !== BigInt(place.alternate_lba)) return 'the header puts its other copy elsewhere';
  if (head.readBigUInt64LE(72) !== BigInt(place.array_lba)) return 'the entry array stands elsewhere';
  if (head.readUInt32LE(80) !== ENTRY_COUNT || head.readUInt32LE(84) !== ENTRY_BYTES) return 'the entry array has another shape';
  const array = array_and_more.subarray(0, ARRAY_BYTES);
  if (crc32(array) !== head.readUInt32LE(88)) return "the entry array's CRC is wrong";

  const entries: GptEntry[] = [];
  for (let number = 1; number <= ENTRY_COUNT; number++) {
    const entry = array.subarray((number - 1) * ENTRY_BYTES, number * ENTRY_BYTES);
    if (entry.subarray(0, 16).every((byte) => byte === 0)) continue;
    const first_lba = entry.readBigUInt64LE(32);
    const last_lba = entry.readBigUInt64LE(40);
    if (first_lba > last_lba || last_lba >= BigInt(disk.disk_sectors)) return `entry ${number} reaches beyond the disk`;
    entries.push({
      number,
      type: decodeGuid(entry.subarray(0, 16)),
      guid: decodeGuid(entry.subarray(16, 32)),
      name: entry.toString('utf16le', 56, 128).replace(/\0.*$/su, ''),
      first_lba: Number(first_lba),
      last_lba: Number(last_lba),
      attributes: entry.readBigUInt64LE(48),
    });
  }
  return { disk_guid: decodeGuid(head.subarray(56, 72)), ...disk, entries };
}

function sameTable(one: GptTable, other: GptTable): boolean {
  return encodeArray(one).equals(encodeArray(other)) && one.disk_guid === other.disk_guid;
}

/** What a slot's attributes say (contracts: priority bits 48-51, tries 52-55, successful 56). */
export interface SlotState {
  readonly priority: number;
  readonly tries: number;
  readonly successful: boolean;
}

export function encodeSlotState(state: SlotState): bigint {
  for (const [name, value] of [
    ['priority', state.priority],
    ['tries', state.tries],
  ] as const) {
    if (!Number.isInteger(value) || value < 0 || value > 15) throw new RangeError(`slot ${name} ${value} is not within 0..15`);
  }
  return (BigInt(state.priority) << 48n) | (BigInt(state.tries) << 52n) | (state.successful ? 1n << 56n : 0n);
}

export function decodeSlotState(attributes: bigint): SlotState {
  return {
    priority: Number((attributes >> 48n) & 15n),
    tries: Number((attributes >> 52n) & 15n),
    successful: ((attributes >> 56n) & 1n) === 1n,
  };
}

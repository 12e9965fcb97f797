// SPDX-License-Identifier: PMPL-1.0-or-later
// A disk that a test may ruin: a copy-on-write overlay over an image that stays as it is. It outlives the machines that use it,
// so that one can be started twice on it. Damage and slot attributes are written while no machine runs.
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  arraySectors,
  decodeGpt,
  decodeSlotState,
  encodeGpt,
  encodeSlotState,
  firstUsableLba,
  type GptTable,
  type SlotState,
} from '../image/gpt.ts';
import { convertToRaw, createOverlay, type DiskFormat, diskSize, readDisk, writeDiskParts, zeroDisk } from '../toolchain/qemu.ts';
import { type DiskLog, type LogEntry, parseDiskLog } from './disk-log.ts';

const sectorBytes = 512;
/** Room for the write log of a boot, which writes a few blocks. The file is sparse until then. */
const logBytes = 64 * 2 ** 20;

const trailerBytes = 64 * 1024;

export type SlotName = 'A' | 'B';
export type Region = { readonly offsetBytes: number; readonly lengthBytes: number };

export class Disk {
  readonly path: string;
  readonly format: DiskFormat;
  readonly sizeBytes: number;

  private constructor(path: string, format: DiskFormat, sizeBytes: number) {
    this.path = path;
    this.format = format;
    this.sizeBytes = sizeBytes;
  }

  /** A new overlay `name` in `folder`. */
  static async over(image: { readonly path: string; readonly format: DiskFormat }, folder: string, name: string): Promise<Disk> {
    const overlay = join(folder, `${name}.qcow2`);
    await createOverlay({ base: image.path, baseFormat: image.format, overlay });
    return new Disk(overlay, 'qcow2', await diskSize(overlay, 'qcow2'));
  }

  /** An existing file, used as it is. */
  static async at(path: string, format: DiskFormat): Promise<Disk> {
    return new Disk(path, format, await diskSize(path, format));
  }

  /** Any range; it is widened to sectors for the read. */
  async read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const start = offsetBytes - (offsetBytes % sectorBytes);
    const end = Math.ceil((offsetBytes + lengthBytes) / sectorBytes) * sectorBytes;
    const bytes = await readDisk(this.path, this.format, start, end - start);
    return bytes.subarray(offsetBytes - start, offsetBytes - start + lengthBytes);
  }

  /** Any range; the rest of its first and last sector is kept. */
  async write(offsetBytes: number, bytes: Uint8Array): Promise<void> {
    const start = offsetBytes - (offsetBytes % sectorBytes);
    const end = Math.ceil((offsetBytes + bytes.byteLength) / sectorBytes) * sectorBytes;
    const sectors = Buffer.from(await this.read(start, end - start));
    sectors.set(bytes, offsetBytes - start);
    await writeDiskParts(this.path, this.format, [{ offsetBytes: start, bytes: sectors }]);
  }

  /** One bit, the least change that there is. */
  async flipBit(offsetBytes: number, bit = 0): Promise<void> {
    const [byte = 0] = await this.read(offsetBytes, 1);
    await this.write(offsetBytes, Uint8Array.of(byte ^ (1 << bit)));
  }

  /** Overwrites a range with a pattern that no format uses. */
  async destroy(region: Region): Promise<void> {
    await this.write(region.offsetBytes, new Uint8Array(region.lengthBytes).fill(0xa5));
  }

  /** Makes a range zero. It is a multiple of 512 bytes. */
  async clear({ offsetBytes, lengthBytes }: Region): Promise<void> {
    await zeroDisk(this.path, this.format, offsetBytes, lengthBytes);
  }

  /** Both copies of the partition table, judged. Errors: `Error` when neither can be believed. */
  async table(): Promise<TableReading> {
    const { start, end } = tableRegions(this.sizeBytes);
    return readTable(
      await this.read(start.offsetBytes, start.lengthBytes),
      await this.read(end.offsetBytes, end.lengthBytes),
      this.sizeBytes,
    );
  }

  /** Where a partition lies. */
  async partition(name: string): Promise<Region> {
    const { table } = await this.table();
    const entry = table.entries.find((one) => one.name === name);
    if (entry === undefined)
      throw new Error(`no partition ${name}; there are ${table.entries.map((one) => one.name).join(', ')}`);
    return { offsetBytes: entry.first_lba * sectorBytes, lengthBytes: (entry.last_lba - entry.first_lba + 1) * sectorBytes };
  }

  async slot(name: SlotName): Promise<SlotState> {
    return slotOf((await this.table()).table, name);
  }

  /** Sets attributes in both copies of the table, as an installer would. */
  async setSlots(states: Partial<Record<SlotName, SlotState>>): Promise<void> {
    const { table } = await this.table();
    const entries = table.entries.map((entry) => {
      const state = entry.name === 'ROOT-A' ? states.A : entry.name === 'ROOT-B' ? states.B : undefined;
      return state === undefined ? entry : { ...entry, attributes: encodeSlotState(state) };
    });
    const bytes = encodeGpt({ ...table, entries });
    await this.write(bytes.end_offset_bytes, bytes.end);
    await this.write(0, bytes.start);
  }

  /** Whether a signed trailer stands at the slot's end (contracts: its last 64 KiB begin with `FRslot01`). */
  async slotIsFilled(name: SlotName): Promise<boolean> {
    const { offsetBytes, lengthBytes } = await this.partition(`ROOT-${name}`);
    return (await this.read(offsetBytes + lengthBytes - trailerBytes, 8)).toString('latin1') === 'FRslot01';
  }

  /** Copies the content of one slot to the other, which must be as large. Its attributes stay. */
  async copySlot(from: SlotName, to: SlotName): Promise<void> {
    const source = await this.partition(`ROOT-${from}`);
    const target = await this.partition(`ROOT-${to}`);
    if (source.lengthBytes !== target.lengthBytes) throw new Error('the slots differ in size');
    await this.clear(target);
    await this.writeFilled(target.offsetBytes, await this.read(source.offsetBytes, source.lengthBytes));
  }

  /** Writes those parts of `bytes` that are not zero, over a range that is. Offset and length are multiples of 512. */
  async writeFilled(offsetBytes: number, bytes: Buffer): Promise<void> {
    const parts = filledChunks(bytes).map((chunk) => ({ offsetBytes: offsetBytes + chunk.offsetBytes, bytes: chunk.bytes }));
    await writeDiskParts(this.path, this.format, parts);
  }

  /** Applies writes that were recorded. */
  async apply(writes: readonly LogEntry[]): Promise<void> {
    const parts = writes.map(({ offsetBytes, lengthBytes, data, kind }) => ({
      offsetBytes,
      bytes: kind === 'write' ? data : new Uint8Array(lengthBytes),
    }));
    await writeDiskParts(this.path, this.format, parts);
  }

  /** The guest's view as a raw file. */
  async toRaw(out: string): Promise<Disk> {
    await convertToRaw({ disk: this.path, format: this.format, out });
    return new Disk(out, 'raw', this.sizeBytes);
  }
}

export interface TableReading {
  readonly table: GptTable;
  /** What is wrong with either copy. */
  readonly faults: readonly string[];
}

/** Where the two copies of the table lie: all that a boot may write to. */
export function tableRegions(diskBytes: number): { readonly start: Region; readonly end: Region } {
  const lengthBytes = (arraySectors(sectorBytes) + 1) * sectorBytes;
  return {
    start: { offsetBytes: 0, lengthBytes: firstUsableLba(sectorBytes) * sectorBytes },
    end: { offsetBytes: diskBytes - lengthBytes, lengthBytes },
  };
}

/** Judges the bytes of both regions. Errors: `Error` when neither copy can be believed. */
export function readTable(start: Buffer, end: Buffer, diskBytes: number): TableReading {
  const reading = decodeGpt(start, end, { sector_bytes: sectorBytes, disk_sectors: diskBytes / sectorBytes });
  const faults = reading.faults.map(({ copy, why }) => `${copy}: ${why}`);
  if (reading.table === undefined) throw new Error(`no partition table: ${faults.join('; ')}`);
  return { table: reading.table, faults };
}

/** Errors: `Error` when the disk has no such slot. */
export function slotOf(table: GptTable, name: SlotName): SlotState {
  const entry = table.entries.find((one) => one.name === `ROOT-${name}`);
  if (entry === undefined) throw new Error(`no partition ROOT-${name}`);
  return decodeSlotState(entry.attributes);
}

/** Makes an empty file for the emulator to log writes into. */
export function createWriteLog(path: string): void {
  const file = openSync(path, 'w');
  ftruncateSync(file, logBytes);
  closeSync(file);
}

/** What was logged. `disk` is the logged one. */
export async function readWriteLog(path: string, disk: Disk): Promise<DiskLog> {
  return parseDiskLog(await readFile(path), { diskBytes: disk.sizeBytes });
}

/** Pieces of 1 MiB that are not all zero, neighbours joined. */
function filledChunks(bytes: Buffer): { offsetBytes: number; bytes: Buffer }[] {
  const step = 2 ** 20;
  const zeros = Buffer.alloc(step);
  const chunks: { offsetBytes: number; bytes: Buffer }[] = [];
  for (let at = 0; at < bytes.byteLength; at += step) {
    const chunk = bytes.subarray(at, at + step);
    if (chunk.equals(zeros.subarray(0, chunk.byteLength))) continue;
    const last = chunks.at(-1);
    if (last !== undefined && last.offsetBytes + last.bytes.byteLength === at)
      last.bytes = bytes.subarray(last.offsetBytes, at + chunk.byteLength);
    else chunks.push({ offsetBytes: at, bytes: chunk });
  }
  return chunks;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// Reads the write log that the emulator's `blklogwrites` filter records (the dm-log-writes format of Linux,
// Documentation/admin-guide/device-mapper/log-writes.rst) and replays a prefix of it: the disk as a power cut would have left it.
// Pure: bytes in, bytes out. Layout, little endian. Sector 0: magic u64, version u64, entries u64, sector size u32.
// Then for each entry a sector with: sector u64, sectors u64, flags u64, data length u64; then its data, none for a discard.

const magic = 0x6a736677736872n;
const flag = { flush: 1n, fua: 2n, discard: 4n, mark: 8n } as const;
const knownFlags = flag.flush | flag.fua | flag.discard | flag.mark;

export interface LogEntry {
  /** `write` changes bytes, `discard` makes them zero, `flush` and `mark` change nothing. */
  readonly kind: 'write' | 'discard' | 'flush' | 'mark';
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** What was written; empty for all but `write`. */
  readonly data: Uint8Array;
  /** Everything acknowledged before this entry is on the medium once it is done. */
  readonly barrier: boolean;
}

export interface DiskLog {
  readonly sectorBytes: number;
  readonly entries: readonly LogEntry[];
}

/** A log that cannot be what the emulator wrote. */
export class DiskLogError extends Error {
  constructor(message: string) {
    super(`write log: ${message}`);
    this.name = 'DiskLogError';
  }
}

/**
 * All entries. The count in the first sector may be behind when the emulator was killed, so reading goes on until an entry
 * is not plausible; but it must not end before that count.
 * Errors: `DiskLogError` for a wrong magic, version or sector size, or fewer entries than counted.
 */
export function parseDiskLog(bytes: Uint8Array, options: { readonly diskBytes: number }): DiskLog {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < 512) throw new DiskLogError(`${bytes.byteLength} bytes are too few`);
  if (view.getBigUint64(0, true) !== magic) throw new DiskLogError('wrong magic');
  if (view.getBigUint64(8, true) !== 1n) throw new DiskLogError(`version ${view.getBigUint64(8, true)} is not 1`);
  const counted = view.getBigUint64(16, true);
  const sectorBytes = view.getUint32(24, true);
  if (sectorBytes < 512 || sectorBytes > 65_536 || (sectorBytes & (sectorBytes - 1)) !== 0) {
    throw new DiskLogError(`sector size ${sectorBytes} is not a power of two from 512 to 65536`);
  }
  const entries: LogEntry[] = [];
  for (let at = sectorBytes; ; ) {
    const found = entryAt(view, at, sectorBytes, options.diskBytes);
    if (found === undefined) break;
    entries.push(found.entry);
    at = found.next;
  }
  if (BigInt(entries.length) < counted) throw new DiskLogError(`${counted} entries are counted, ${entries.length} are there`);
  return { sectorBytes, entries };
}

function entryAt(
  view: DataView,
  at: number,
  sectorBytes: number,
  diskBytes: number,
): { entry: LogEntry; next: number } | undefined {
  if (at + sectorBytes > view.byteLength) return undefined;
  const sector = view.getBigUint64(at, true);
  const sectors = view.getBigUint64(at + 8, true);
  const flags = view.getBigUint64(at + 16, true);
  const dataLength = view.getBigUint64(at + 24, true);
  if ((flags & ~knownFlags) !== 0n || (flags === 0n && sectors === 0n)) return undefined;
  const offset = sector * BigInt(sectorBytes);
  const length = sectors * BigInt(sectorBytes);
  if (offset + length > BigInt(diskBytes)) return undefined;
  // A mark's text counts as data; a write's length is in `sectors` and its data length is 0 (or the same).
  const isMark = (flags & flag.mark) !== 0n;
  const isDiscard = (flags & flag.discard) !== 0n;
  const stored = isMark ? roundUp(dataLength, BigInt(sectorBytes)) : isDiscard ? 0n : length;
  const start = at + sectorBytes;
  if (BigInt(start) + stored > BigInt(view.byteLength)) return undefined;
  const kind = isMark ? 'mark' : isDiscard ? 'discard' : length > 0n ? 'write' : 'flush';
  const data = new Uint8Array(view.buffer, view.byteOffset + start, kind === 'write' ? Number(length) : 0);
  const entry: LogEntry = {
    kind,
    offsetBytes: Number(offset),
    lengthBytes: Number(length),
    data,
    barrier: (flags & (flag.flush | flag.fua)) !== 0n,
  };
  return { entry, next: start + Number(stored) };
}

function roundUp(value: bigint, to: bigint): bigint {
  return ((value + to - 1n) / to) * to;
}

/** Entries that change the disk, in order: the instants at which a power cut makes a difference. */
export function changes(log: DiskLog): LogEntry[] {
  return log.entries.filter((entry) => entry.kind === 'write' || entry.kind === 'discard');
}

/** What a cut can leave behind. */
export interface CutState {
  /** For the test's message: `prefix 3`, `prefix 3 without 2`, `prefix 3, torn after 512 bytes`. */
  readonly name: string;
  /** Applied in this order to the disk as it was. */
  readonly writes: readonly LogEntry[];
}

/** Every prefix, from nothing written to all written. */
export function prefixes(log: DiskLog): CutState[] {
  const all = changes(log);
  return Array.from({ length: all.length + 1 }, (_, count) => ({ name: `prefix ${count}`, writes: all.slice(0, count) }));
}

/**
 * Legal states beyond the prefixes: in the window since the last barrier any one write may be missing, and the last one may be
 * torn at a sector. (A disk with a write cache promises no more than that.)
 */
export function reordered(log: DiskLog): CutState[] {
  const states: CutState[] = [];
  const done: LogEntry[] = [];
  let open = 0;
  for (const entry of log.entries) {
    if (entry.kind === 'write' || entry.kind === 'discard') {
      done.push(entry);
      const count = done.length;
      for (let missing = open; missing < count - 1; missing += 1) {
        states.push({
          name: `prefix ${count} without write ${missing + 1}`,
          writes: done.filter((_, index) => index !== missing),
        });
      }
      for (const torn of tears(entry, log.sectorBytes)) {
        states.push({ name: `prefix ${count}, torn after ${torn.lengthBytes} bytes`, writes: [...done.slice(0, -1), torn] });
      }
    }
    if (entry.barrier) open = done.length;
  }
  return states;
}

/** A write that lost its end: after the first sector, in the middle, before the last sector. */
function tears(entry: LogEntry, sectorBytes: number): LogEntry[] {
  const sectors = entry.data.byteLength / sectorBytes;
  const places = new Set([1, Math.floor(sectors / 2), sectors - 1].filter((place) => place > 0 && place < sectors));
  return [...places].map((place) => ({
    ...entry,
    lengthBytes: place * sectorBytes,
    data: entry.data.subarray(0, place * sectorBytes),
  }));
}

/** Applies writes to `disk` in place. Errors: `DiskLogError` for one that lies beyond its end; `disk` then holds those before it. */
export function replay(disk: Uint8Array, writes: readonly LogEntry[]): void {
  for (const { kind, offsetBytes, lengthBytes, data } of writes) {
    if (offsetBytes + lengthBytes > disk.byteLength)
      throw new DiskLogError(`a write at byte ${offsetBytes} lies beyond the disk`);
    if (kind === 'write') disk.set(data, offsetBytes);
    if (kind === 'discard') disk.fill(0, offsetBytes, offsetBytes + lengthBytes);
  }
}

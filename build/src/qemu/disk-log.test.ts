// SPDX-License-Identifier: PMPL-1.0-or-later
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changes, type DiskLog, DiskLogError, parseDiskLog, prefixes, reordered, replay } from './disk-log.ts';

const sector = 512;
const diskBytes = 64 * sector;

interface Entry {
  readonly at: number;
  readonly sectors: number;
  readonly flags: number;
  readonly fill?: number;
}

/** A log as the emulator writes it. */
function encode(
  entries: readonly Entry[],
  change: { magic?: bigint; version?: bigint; count?: number; sectorBytes?: number } = {},
): Uint8Array {
  const chunks: Uint8Array[] = [];
  const block = (fill: (view: DataView) => void) => {
    const bytes = new Uint8Array(sector);
    fill(new DataView(bytes.buffer));
    chunks.push(bytes);
  };
  block((view) => {
    view.setBigUint64(0, change.magic ?? 0x6a736677736872n, true);
    view.setBigUint64(8, change.version ?? 1n, true);
    view.setBigUint64(16, BigInt(change.count ?? entries.length), true);
    view.setUint32(24, change.sectorBytes ?? sector, true);
  });
  for (const { at, sectors, flags, fill } of entries) {
    block((view) => {
      view.setBigUint64(0, BigInt(at), true);
      view.setBigUint64(8, BigInt(sectors), true);
      view.setBigUint64(16, BigInt(flags), true);
    });
    if ((flags & 4) === 0) chunks.push(new Uint8Array(sectors * sector).fill(fill ?? 0xff));
  }
  return Uint8Array.from(Buffer.concat([...chunks, new Uint8Array(4 * sector)]));
}

const write = (at: number, sectors: number, fill: number): Entry => ({ at, sectors, flags: 0, fill });
const flush: Entry = { at: 0, sectors: 0, flags: 1 };
const discard = (at: number, sectors: number): Entry => ({ at, sectors, flags: 4 });
const parse = (entries: readonly Entry[], change = {}): DiskLog => parseDiskLog(encode(entries, change), { diskBytes });

describe('a write log', () => {
  it('gives writes, flushes and discards in order', () => {
    const { entries } = parse([write(1, 2, 7), flush, discard(4, 1)]);
    expect(entries.map(({ kind, offsetBytes, lengthBytes, barrier }) => ({ kind, offsetBytes, lengthBytes, barrier }))).toEqual([
      { kind: 'write', offsetBytes: 512, lengthBytes: 1024, barrier: false },
      { kind: 'flush', offsetBytes: 0, lengthBytes: 0, barrier: true },
      { kind: 'discard', offsetBytes: 2048, lengthBytes: 512, barrier: false },
    ]);
  });

  it('is read on past a count that a killed emulator did not bring up to date', () => {
    expect(parse([write(1, 1, 1), write(2, 1, 2)], { count: 0 }).entries).toHaveLength(2);
  });

  it('replays to the same disk as writing directly, for any writes', () => {
    const one = fc.tuple(
      fc.integer({ min: 0, max: 55 }),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 255 }),
      fc.boolean(),
    );
    fc.assert(
      fc.property(fc.array(one, { maxLength: 20 }), (list) => {
        const straight = new Uint8Array(diskBytes);
        for (const [at, count, fill, isDiscard] of list) straight.fill(isDiscard ? 0 : fill, at * sector, (at + count) * sector);
        const replayed = new Uint8Array(diskBytes);
        replay(
          replayed,
          changes(parse(list.map(([at, count, fill, isDiscard]) => (isDiscard ? discard(at, count) : write(at, count, fill))))),
        );
        expect(Buffer.from(replayed).equals(straight)).toBe(true);
      }),
    );
  });

  it('has one cut state more than it has changes', () => {
    const states = prefixes(parse([write(1, 1, 1), flush, write(2, 1, 2)]));
    expect(states.map((state) => [state.name, state.writes.length])).toEqual([
      ['prefix 0', 0],
      ['prefix 1', 1],
      ['prefix 2', 2],
    ]);
  });

  it('may lose any write of an open window, but none before a flush', () => {
    const names = reordered(parse([write(1, 1, 1), flush, write(2, 1, 2), write(3, 1, 3)])).map((state) => state.name);
    expect(names).toEqual(['prefix 3 without write 2']);
  });

  it('may tear a write of several sectors', () => {
    const names = reordered(parse([write(1, 4, 1)])).map((state) => state.name);
    expect(names).toEqual([
      'prefix 1, torn after 512 bytes',
      'prefix 1, torn after 1024 bytes',
      'prefix 1, torn after 1536 bytes',
    ]);
  });
});

describe('a write log is refused', () => {
  it.each([
    ['too short', () => parseDiskLog(new Uint8Array(100), { diskBytes })],
    ['of another magic', () => parse([], { magic: 1n })],
    ['of a later version', () => parse([], { version: 2n })],
    ['with an odd sector size', () => parse([], { sectorBytes: 513 })],
    ['with a sector size of zero', () => parse([], { sectorBytes: 0 })],
    ['that lost entries', () => parse([write(1, 1, 1)], { count: 9 })],
    ['that writes beyond the disk', () => parse([write(64, 1, 1)])],
  ])('%s', (_, act) => {
    expect(act).toThrow(DiskLogError);
  });

  it('never by anything but its own error, whatever the bytes', () => {
    const start = encode([write(1, 1, 1)]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2048 }), fc.nat(600), (noise, at) => {
        const bytes = Uint8Array.from(start);
        bytes.set(noise.subarray(0, Math.max(0, bytes.length - at)), at);
        try {
          parseDiskLog(bytes, { diskBytes });
        } catch (error) {
          expect(error).toBeInstanceOf(DiskLogError);
        }
      }),
    );
  });
});

describe('a replay', () => {
  it('refuses a write beyond the disk', () => {
    const { entries } = parse([write(60, 2, 1)]);
    expect(() => replay(new Uint8Array(sector), entries)).toThrow(DiskLogError);
  });
});

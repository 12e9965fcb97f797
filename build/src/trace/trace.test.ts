// SPDX-License-Identifier: PMPL-1.0-or-later
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { operationNames, perfettoTrace } from './perfetto.ts';
import { readRings, ringsAddress, ringsBytes } from './ring.ts';

const name = (text: string) => Buffer.from(text.padEnd(8, '\0'), 'latin1').readBigUInt64LE();

/** Rings in which CPU 1 has these records; more than there is room for wrap around. */
function rings(records: readonly (readonly [bigint, bigint, bigint, bigint])[]): Buffer {
  const memory = Buffer.alloc(ringsBytes);
  const base = ringsBytes / 8;
  memory.writeBigUInt64LE(BigInt(records.length), base);
  for (const [n, record] of records.entries()) {
    for (const [w, word] of record.entries()) memory.writeBigUInt64LE(word, base + 8 + ((n % 2048) * 4 + w) * 8);
  }
  return memory;
}

describe('a trace', () => {
  it('is read with its kinds, names and times', () => {
    const memory = rings([
      [1_000n, 6n, name('root'), 5n],
      [1_500n, 1n | (8n << 8n), name('root'), 0x40010n],
      [2_000n, 2n | (14n << 8n) | (6n << 16n), name('uart'), 0x1000n],
    ]);
    expect(readRings(memory)).toEqual([
      { cpu: 1, timeNs: 1_000, kind: 'run', number: 0, thread: 'root', detail: 5n },
      { cpu: 1, timeNs: 1_500, kind: 'call', number: 8, thread: 'root', detail: 0x40010n },
      { cpu: 1, timeNs: 2_000, kind: 'fault', number: 14 + 6 * 256, thread: 'uart', detail: 0x1000n },
    ]);
  });

  it('keeps the newest records, oldest first', () => {
    const many = Array.from({ length: 2050 }, (_, n) => [BigInt(n), 4n, 0n, 0n] as const);
    const times = readRings(rings(many)).map(({ timeNs }) => timeNs);
    expect([times[0], times.at(-1), times.length]).toEqual([2, 2049, 2048]);
  });

  it('becomes slices of who runs and instants of what happens', () => {
    const memory = rings([
      [1_000n, 6n, name('root'), 5n],
      [1_500n, 1n | (8n << 8n), 0n, 0x10n],
      [2_000n, 6n, name('uart'), 6n],
      [2_500n, 6n, name('uart'), 6n],
      [3_000n, 6n, 0n, 0n],
      [4_000n, 4n, 0n, 0n],
    ]);
    expect(perfettoTrace(readRings(memory), new Map([[8, 'Call']])).traceEvents).toEqual([
      { name: 'process_name', ph: 'M', pid: 1, tid: 0, args: { name: 'flatracoon' } },
      { name: 'thread_name', ph: 'M', pid: 1, tid: 2, args: { name: 'CPU 1' } },
      { name: 'root', ph: 'X', cat: 'thread', pid: 1, tid: 2, ts: 1, dur: 1, args: { thread: 5 } },
      { name: 'uart', ph: 'X', cat: 'thread', pid: 1, tid: 2, ts: 2, dur: 1, args: { thread: 6 } },
      { name: 'Call', ph: 'i', s: 't', pid: 1, tid: 2, ts: 1.5, cat: 'call', args: { handle: '0x10' } },
      { name: 'timer', ph: 'i', s: 't', pid: 1, tid: 2, ts: 4, cat: 'timer', args: {} },
    ]);
  });

  it('knows the names of all operations', () => {
    const names = operationNames(readFileSync(join(import.meta.dirname, '../../../kernel-rs/abi/src/op.rs'), 'utf8'));
    expect([names.get(0), names.get(8), names.get(129)]).toEqual(['Null', 'Call', 'DebugDump']);
  });

  it('is not in a kernel without the rings', () => {
    expect(() => ringsAddress(Buffer.alloc(64))).toThrow('this kernel writes no trace');
  });
});

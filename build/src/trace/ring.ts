// SPDX-License-Identifier: PMPL-1.0-or-later
// The rings of kernel-rs/kernel/src/trace.rs as they lie in memory, and where that is. Pure.
import { InternalError, UserError } from '../errors.ts';

/** As the kernel has them. */
const cpus = 8;
const records = 2048;
const words = 4;
const ringBytes = 8 + records * words * 8;
export const ringsBytes = cpus * ringBytes;

export type TraceKind = 'call' | 'fault' | 'interrupt' | 'timer' | 'kick' | 'run';
const kinds: readonly (TraceKind | undefined)[] = [undefined, 'call', 'fault', 'interrupt', 'timer', 'kick', 'run'];

export interface TraceRecord {
  readonly cpu: number;
  readonly timeNs: number;
  readonly kind: TraceKind;
  /** Operation, vector with the error code above it, or 0. */
  readonly number: number;
  /** Of the thread; empty when nobody runs, or when the call was done in local mode and the caller is who ran before. */
  readonly thread: string;
  /** Handle, address, or which thread of that name. */
  readonly detail: bigint;
}

/** All records, each CPU's oldest first. Errors: `InternalError` for another length. */
export function readRings(memory: Buffer): TraceRecord[] {
  if (memory.length !== ringsBytes) throw new InternalError(`the trace has ${memory.length} bytes instead of ${ringsBytes}`);
  return Array.from({ length: cpus }, (_, cpu) => readRing(memory.subarray(cpu * ringBytes, (cpu + 1) * ringBytes), cpu)).flat();
}

function readRing(ring: Buffer, cpu: number): TraceRecord[] {
  const count = Number(ring.readBigUInt64LE(0));
  const first = Math.max(0, count - records);
  return Array.from({ length: count - first }, (_, n) => readRecord(ring, cpu, (first + n) % records)).filter(
    (one) => one !== undefined,
  );
}

function readRecord(ring: Buffer, cpu: number, n: number): TraceRecord | undefined {
  const at = 8 + n * words * 8;
  const what = ring.readBigUInt64LE(at + 8);
  const kind = kinds[Number(what & 0xffn)];
  if (kind === undefined) return undefined;
  const name = ring.subarray(at + 16, at + 24);
  return {
    cpu,
    timeNs: Number(ring.readBigUInt64LE(at)),
    kind,
    number: Number(what >> 8n),
    thread: name.toString('latin1').replace(/\0.*$/s, ''),
    detail: ring.readBigUInt64LE(at + 24),
  };
}

/** The address of the rings in a kernel. Errors: `UserError` `trace/no-rings` for one without debug facilities. */
export function ringsAddress(elf: Buffer): bigint {
  for (const { name, value, size } of symbols(elf)) {
    if (/6kernel5trace5RINGS/.test(name) && size === ringsBytes) return value;
  }
  throw new UserError('this kernel writes no trace', {
    code: 'trace/no-rings',
    hint: 'only the kernel of the dev profile does; build it with `just build-dev`',
  });
}

interface Symbol {
  readonly name: string;
  readonly value: bigint;
  readonly size: number;
}

/** ELF-64, little endian: System V ABI, chapter 4, sections and symbol table. */
function* symbols(elf: Buffer): Generator<Symbol> {
  const start = Number(elf.readBigUInt64LE(40));
  const section = (n: number) => {
    const at = start + n * 64;
    return {
      type: elf.readUInt32LE(at + 4),
      offset: Number(elf.readBigUInt64LE(at + 24)),
      size: Number(elf.readBigUInt64LE(at + 32)),
      link: elf.readUInt32LE(at + 40),
    };
  };
  const symtab = 2;
  for (let n = 0; start !== 0 && n < elf.readUInt16LE(60); n += 1) {
    const table = section(n);
    if (table.type !== symtab) continue;
    const names = section(table.link);
    for (let at = table.offset; at < table.offset + table.size; at += 24) {
      const from = names.offset + elf.readUInt32LE(at);
      const name = elf.toString('latin1', from, elf.indexOf(0, from));
      yield { name, value: elf.readBigUInt64LE(at + 8), size: Number(elf.readBigUInt64LE(at + 16)) };
    }
  }
}

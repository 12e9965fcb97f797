// SPDX-License-Identifier: PMPL-1.0-or-later
// An ELF file without what only debuggers read: section headers and whatever lies behind the last segment. What a loader reads
// (ELF-64, little endian; System V ABI, chapters 4 and 5: header and program headers) stays byte for byte.
import { InternalError } from '../errors.ts';

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;

/** Errors: InternalError when it is no 64-bit little-endian ELF file or is cut short. */
export function withoutSections(elf: Buffer, name: string): Buffer {
  if (elf.length < HEADER_BYTES || elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1)
    throw new InternalError(`${name} is no 64-bit little-endian ELF file`);
  const tableStart = Number(elf.readBigUInt64LE(32));
  const entryBytes = elf.readUInt16LE(54);
  const count = elf.readUInt16LE(56);
  const tableEnd = tableStart + count * entryBytes;
  if (entryBytes !== PROGRAM_HEADER_BYTES || tableEnd > elf.length)
    throw new InternalError(`${name} has no whole table of program headers`);
  let end = Math.max(HEADER_BYTES, tableEnd);
  for (let at = tableStart; at < tableEnd; at += entryBytes) {
    end = Math.max(end, Number(elf.readBigUInt64LE(at + 8) + elf.readBigUInt64LE(at + 32)));
  }
  if (end > elf.length) throw new InternalError(`${name} is cut short: a segment ends at ${end}, the file at ${elf.length}`);
  const stripped = Buffer.from(elf.subarray(0, end));
  stripped.writeBigUInt64LE(0n, 40); // e_shoff
  stripped.writeUInt16LE(0, 58); // e_shentsize
  stripped.writeUInt16LE(0, 60); // e_shnum
  stripped.writeUInt16LE(0, 62); // e_shstrndx
  return stripped;
}

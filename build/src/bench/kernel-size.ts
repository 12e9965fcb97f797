// SPDX-License-Identifier: PMPL-1.0-or-later
// Bytes that the kernel's image takes in memory, from its program headers (System V ABI, chapter 5), by what may be done with them.
import { InternalError } from '../errors.ts';
import type { Figure } from './figures.ts';

const PT_LOAD = 1;
const PF_X = 1;
const PF_W = 2;

/** Errors: `InternalError` when it is no 64-bit ELF file. */
export function kernelSize(elf: Buffer): Figure[] {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2)
    throw new InternalError('the kernel is no 64-bit ELF file');
  const sizes = { text: 0, constants: 0, data: 0 };
  const start = Number(elf.readBigUInt64LE(32));
  for (let n = 0; n < elf.readUInt16LE(56); n += 1) {
    const at = start + n * elf.readUInt16LE(54);
    if (elf.readUInt32LE(at) !== PT_LOAD) continue;
    const flags = elf.readUInt32LE(at + 4);
    const kind = (flags & PF_X) !== 0 ? 'text' : (flags & PF_W) !== 0 ? 'data' : 'constants';
    sizes[kind] += Number(elf.readBigUInt64LE(at + 40));
  }
  const figure = (name: keyof typeof sizes, what: string): Figure => ({
    name: `kernel.size.${name}`,
    value: sizes[name],
    unit: 'bytes',
    how: `${what} of the production kernel, in memory`,
  });
  return [figure('text', 'executable segments'), figure('constants', 'read-only segments'), figure('data', 'writable segments')];
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// Wraps a few bytes of 32-bit machine code into a kernel that the emulator starts directly: one segment, and the ELF note that
// names the entry (PVH, Xen's docs/misc/pvh.pandoc). For probing the accelerator and for the harness's own tests; no compiler needed.

/** Where the code is loaded and entered: 1 MiB, flat 32-bit segments, paging off, interrupts off. */
export const loadAddress = 0x10_0000;

const elfHeaderBytes = 52;
const programHeaderBytes = 32;
const noteBytes = 20;
const codeOffset = 0x1000;
/** XEN_ELFNOTE_PHYS32_ENTRY. */
const noteType = 18;

/** An ELF32 executable whose entry is the first byte of `code`. */
export function pvhElf(code: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(codeOffset + code.byteLength);
  const view = new DataView(bytes.buffer);
  const u16 = (at: number, value: number) => view.setUint16(at, value, true);
  const u32 = (at: number, value: number) => view.setUint32(at, value, true);
  const noteOffset = elfHeaderBytes + 2 * programHeaderBytes;

  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]); // ELF, 32 bits, little endian
  u16(16, 2); // ET_EXEC
  u16(18, 3); // EM_386
  u32(20, 1);
  u32(24, loadAddress);
  u32(28, elfHeaderBytes);
  u16(40, elfHeaderBytes);
  u16(42, programHeaderBytes);
  u16(44, 2);

  const header = (index: number, fields: readonly number[]) => {
    for (const [field, value] of fields.entries()) u32(elfHeaderBytes + index * programHeaderBytes + field * 4, value);
  };
  // type, offset, virtual, physical, file size, memory size, flags, alignment
  header(0, [1, codeOffset, loadAddress, loadAddress, code.byteLength, code.byteLength, 7, 0x1000]);
  header(1, [4, noteOffset, 0, 0, noteBytes, noteBytes, 4, 4]);

  u32(noteOffset, 4);
  u32(noteOffset + 4, 4);
  u32(noteOffset + 8, noteType);
  bytes.set([0x58, 0x65, 0x6e, 0], noteOffset + 12); // "Xen"
  u32(noteOffset + 16, loadAddress);
  bytes.set(code, codeOffset);
  return bytes;
}

/** Machine code in words that a test can read. Each ends where the next begins. */
export const code = {
  /** Sends text over the first serial port. */
  print: (text: string): number[] => [0x66, 0xba, 0xf8, 0x03, ...[...Buffer.from(text)].flatMap((byte) => [0xb0, byte, 0xee])],
  /** Ends the emulator with status (value << 1) | 1, through the exit device. */
  exit: (value: number): number[] => [0x66, 0xba, 0xf4, 0x00, 0xb8, value & 0xff, 0, 0, 0, 0xef, ...code.halt()],
  /** Sleeps for ever. */
  halt: (): number[] => [0xfa, 0xf4, 0xeb, 0xfd],
  /** Waits for one byte from the serial port and sends it back. */
  echo: (): number[] => [
    ...[0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7], // until bit 0 of the line status is set
    ...[0x66, 0xba, 0xf8, 0x03, 0xec, 0xee],
  ],
  /** Asks the chipset for a reset (port 0xcf9). */
  reset: (): number[] => [0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, ...code.halt()],
  /** A fault whose handling faults: the CPU gives up. The interrupt table has length 0 because the stack holds zeros. */
  tripleFault: (): number[] => [
    ...[0xbc, 0x00, 0x00, 0x20, 0x00], // mov esp, 2 MiB
    ...[0x6a, 0x00, 0x6a, 0x00], // push 0, push 0
    ...[0x0f, 0x01, 0x1c, 0x24], // lidt [esp]
    0xcc,
  ],
  /** What firmware does early and broken virtualisation cannot: an x87 wait and init, then CPUID. */
  exercise: (): number[] => [0x9b, 0xdb, 0xe3, 0x31, 0xc0, 0x0f, 0xa2],
} as const;

// SPDX-License-Identifier: PMPL-1.0-or-later
// The loader on a disk's EFI system partition, read and replaced with mtools: files that a person with the disk could change.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Disk, run } from '../../build/src/testing.ts';

const loaderPath = '::/EFI/BOOT/BOOTX64.EFI';

export async function loaderOf(disk: Disk): Promise<Buffer> {
  return withEsp(disk, async (esp, folder) => {
    const out = join(folder, 'loader.efi');
    await run('mcopy', ['-i', esp, loaderPath, out]);
    return readFile(out);
  });
}

export async function replaceLoader(disk: Disk, loader: Uint8Array): Promise<void> {
  const region = await disk.partition('ESP');
  await withEsp(disk, async (esp, folder) => {
    const file = join(folder, 'new.efi');
    await writeFile(file, loader);
    await run('mcopy', ['-o', '-i', esp, file, loaderPath]);
    await disk.write(region.offsetBytes, await readFile(esp));
  });
}

/** The same program without its Authenticode signature: entry 4 of the data directories is emptied (PE format, optional header). */
export function unsigned(program: Uint8Array): Buffer {
  const bytes = Buffer.from(program);
  const pe = bytes.readUInt32LE(0x3c);
  const optional = pe + 24;
  if (bytes.readUInt16LE(optional) !== 0x20b) throw new Error('not a 64-bit PE program');
  const directory = optional + 112 + 4 * 8;
  const signatureAt = bytes.readUInt32LE(directory);
  if (signatureAt === 0) throw new Error('the program has no signature to take away');
  bytes.writeBigUInt64LE(0n, directory);
  return bytes.subarray(0, signatureAt);
}

async function withEsp<Result>(disk: Disk, use: (esp: string, folder: string) => Promise<Result>): Promise<Result> {
  const region = await disk.partition('ESP');
  const folder = await mkdtemp(join(tmpdir(), 'flatracoon-esp-'));
  try {
    const esp = join(folder, 'esp.img');
    await writeFile(esp, await disk.read(region.offsetBytes, region.lengthBytes));
    return await use(esp, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

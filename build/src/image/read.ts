// SPDX-License-Identifier: PMPL-1.0-or-later
//
// A finished raw image from the outside: its partition table, and a partition as a file of its own. Changes nothing.

import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import { arraySectors, decodeGpt, firstUsableLba, type GptEntry, type GptFault, type GptTable } from './gpt.ts';
import { CHUNK_BYTES, writeSparse } from './sparse.ts';

/** Sectors of every raw image that we make for a machine; 4 KiB disks come with a variant that says so. */
const SECTOR_BYTES = 512;

export interface ImageTable {
  readonly table: GptTable;
  /** Faults of one copy; a table is there because the other one is whole. */
  readonly faults: readonly GptFault[];
}

/** Errors: UserError `image/missing`, `image/no-table`. */
export async function readImageTable(path: string): Promise<ImageTable> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw new UserError(`there is no image at ${path} (${cause.code})`, {
      code: 'image/missing',
      hint: 'build one: `just build-dev`',
      cause,
    });
  });
  try {
    const { size } = await file.stat();
    const disk = { sector_bytes: SECTOR_BYTES, disk_sectors: Math.floor(size / SECTOR_BYTES) };
    const start = Buffer.alloc(firstUsableLba(SECTOR_BYTES) * SECTOR_BYTES);
    const end = Buffer.alloc((arraySectors(SECTOR_BYTES) + 1) * SECTOR_BYTES);
    if (size >= start.length + end.length) {
      await file.read(start, 0, start.length, 0);
      await file.read(end, 0, end.length, disk.disk_sectors * SECTOR_BYTES - end.length);
    }
    const { table, faults } = decodeGpt(start, end, disk);
    if (table !== undefined) return { table, faults };
    throw new UserError(`${path} has no partition table: ${faults.map((fault) => `${fault.copy}: ${fault.why}`).join('; ')}`, {
      code: 'image/no-table',
      hint: 'name a raw image (for qcow2: qemu-img convert -O raw), or build it again',
    });
  } finally {
    await file.close();
  }
}

/** Copies a partition into `out`, as a sparse file. Returns its sha256. */
export async function extractPartition(image: string, entry: GptEntry, out: string): Promise<string> {
  const [input, file] = await Promise.all([open(image, 'r'), open(out, 'w')]);
  try {
    const start_bytes = entry.first_lba * SECTOR_BYTES;
    const length_bytes = (entry.last_lba - entry.first_lba + 1) * SECTOR_BYTES;
    await file.truncate(length_bytes);
    const hash = createHash('sha256');
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let done = 0; done < length_bytes; ) {
      const { bytesRead } = await input.read(chunk, 0, Math.min(CHUNK_BYTES, length_bytes - done), start_bytes + done);
      if (bytesRead === 0) break;
      await writeSparse({ file, hash }, chunk.subarray(0, bytesRead), done);
      done += bytesRead;
    }
    return hash.digest('hex');
  } finally {
    await Promise.all([input.close(), file.close()]);
  }
}

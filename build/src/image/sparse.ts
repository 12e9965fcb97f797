// SPDX-License-Identifier: PMPL-1.0-or-later
//
// Sparse files: copying without writing zeros, and taking a digest on the way. Knows nothing of partitions.
// A run of zeros is told by looking at the bytes, not at the file system's map of holes, so the result depends on content alone.

import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';

/** Large enough to keep the number of system calls low, small enough to stay in a cache. */
export const CHUNK_BYTES = 1 << 20;
/** What is looked at for zeros: a block of the usual file systems. Smaller holes would not be holes on the disk. */
const GRAIN_BYTES = 4096;
const zeros = Buffer.alloc(CHUNK_BYTES);

export interface Target {
  readonly file: FileHandle;
  readonly hash: Hash;
}

/** Copies the whole of `source` to `offset_bytes` of the target. Returns its length in bytes. The target must be a fresh hole there. */
export async function copySparse(source: string, target: Target, offset_bytes: number, signal?: AbortSignal): Promise<number> {
  const input = await open(source, 'r');
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let done = 0;
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await input.read(chunk, 0, CHUNK_BYTES, done);
      if (bytesRead === 0) return done;
      await writeSparse(target, chunk.subarray(0, bytesRead), offset_bytes + done);
      done += bytesRead;
    }
  } finally {
    await input.close();
  }
}

/** Writes what is not zero. `bytes` is at most CHUNK_BYTES long. */
export async function writeSparse(target: Target, bytes: Buffer, offset_bytes: number): Promise<void> {
  target.hash.update(bytes);
  for (const [from, to] of dataRuns(bytes)) await writeAll(target.file, bytes.subarray(from, to), offset_bytes + from);
}

/** Accounts for zeros that stay a hole. */
export function hashZeros(hash: Hash, length_bytes: number): void {
  for (let left = length_bytes; left > 0; left -= CHUNK_BYTES) hash.update(zeros.subarray(0, Math.min(left, CHUNK_BYTES)));
}

/** The stretches of `bytes` that are not zero, joined over neighbouring grains. */
function* dataRuns(bytes: Buffer): Generator<readonly [number, number]> {
  if (bytes.equals(zeros.subarray(0, bytes.length))) return;
  let from = -1;
  for (let at = 0; at < bytes.length; at += GRAIN_BYTES) {
    const grain = bytes.subarray(at, at + GRAIN_BYTES);
    const empty = grain.equals(zeros.subarray(0, grain.length));
    if (empty && from >= 0) yield [from, at];
    if (empty) from = -1;
    else if (from < 0) from = at;
  }
  if (from >= 0) yield [from, bytes.length];
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** sha256 of a file, read once. */
export async function digestFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  const input = await open(path, 'r');
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await input.read(chunk, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(chunk.subarray(0, bytesRead));
    }
  } finally {
    await input.close();
  }
}

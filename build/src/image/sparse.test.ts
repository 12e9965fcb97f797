// SPDX-License-Identifier: PMPL-1.0-or-later
import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CHUNK_BYTES, copySparse, digestFile, hashZeros } from './sparse.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparse-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Copies `bytes` to `offset_bytes` of a file of `length_bytes`; returns the file and the digest taken on the way. */
async function copied(bytes: Buffer, offset_bytes: number, length_bytes: number): Promise<{ path: string; sha256: string }> {
  const source = join(folder, 'source');
  const path = join(folder, 'target');
  await writeFile(source, bytes);
  const file = await open(path, 'w');
  await file.truncate(length_bytes);
  const hash = createHash('sha256');
  hashZeros(hash, offset_bytes);
  const length = await copySparse(source, { file, hash }, offset_bytes);
  hashZeros(hash, length_bytes - offset_bytes - length);
  await file.close();
  return { path, sha256: hash.digest('hex') };
}

test('a sparse copy has every byte of its source, and the digest taken on the way is that of the file', async () => {
  // Pieces around the sizes where something changes: a grain, a chunk, and one byte to either side.
  const length = fc.constantFrom(1, 4095, 4096, 4097, 65_536, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1);
  const piece = fc.record({ length, byte: fc.constantFrom(0, 0, 1, 255) });
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 6 }), fc.constantFrom(0, 512, 4096, 1_048_577), async (pieces, offset) => {
      const bytes = Buffer.concat(pieces.map((one) => Buffer.alloc(one.length, one.byte)));
      const total = offset + bytes.length + 5000;
      const { path, sha256 } = await copied(bytes, offset, total);
      const wanted = Buffer.alloc(total);
      bytes.copy(wanted, offset);
      expect((await readFile(path)).equals(wanted)).toBe(true);
      expect(sha256).toBe(createHash('sha256').update(wanted).digest('hex'));
      expect(await digestFile(path)).toBe(sha256);
    }),
    { numRuns: 40 },
  );
});

test('zeros take no space', async () => {
  const { path } = await copied(Buffer.alloc(8 * CHUNK_BYTES), 0, 8 * CHUNK_BYTES);
  expect((await stat(path)).blocks).toBe(0);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// How large a slot's content will be at least, from its described tree, and which files make it so: for the plan's refusal.
// The slot tool knows the exact size, but not which files a person could leave out.

import { readFile, stat } from 'node:fs/promises';
import { throwAll } from '../errors.ts';
import type { ContentSize, ResolvedPartition } from './plan.ts';
import { doesNotFit } from './rules.ts';

const BLOCK_BYTES = 4096;
/** Trailer and verity superblock. */
const FIXED_BYTES = 65_536 + BLOCK_BYTES;

interface TreeFile {
  readonly entries: readonly { readonly path: string; readonly kind: string; readonly source?: string }[];
}

/** Errors: UserError `image/too-small`, with the five largest files, when the described tree cannot fit in the slot's partition. */
export async function checkSlotFits(tree: string, partition: ResolvedPartition): Promise<void> {
  throwAll(doesNotFit(partition, await slotContent(tree)));
}

/** Reads `tree.json` and asks the host for each file's size. Never more than the slot will need. */
export async function slotContent(tree: string): Promise<ContentSize> {
  const { entries } = JSON.parse(await readFile(tree, 'utf8')) as TreeFile;
  const files = await Promise.all(
    entries.flatMap(({ path, source }) =>
      source === undefined ? [] : [stat(source).then(({ size }) => ({ path, size_bytes: size }))],
    ),
  );
  const blocks = files.reduce((sum, file) => sum + Math.floor(file.size_bytes / BLOCK_BYTES), 0);
  // One digest of 32 bytes for each block of data.
  const hashes = Math.ceil((blocks * 32) / BLOCK_BYTES);
  const largest = files.sort((one, other) => other.size_bytes - one.size_bytes || (one.path < other.path ? -1 : 1)).slice(0, 5);
  return { size_bytes: (blocks + hashes) * BLOCK_BYTES + FIXED_BYTES, largest };
}

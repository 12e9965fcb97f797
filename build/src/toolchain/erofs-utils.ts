// SPDX-License-Identifier: PMPL-1.0-or-later
//
// fsck.erofs and dump.erofs (erofs-utils): second opinions on the file systems that our own writer makes.

import { run } from './exec.ts';

/** What is wrong with the file system at the start of `image`, nothing for a good one. */
export async function fsckErofs(image: string): Promise<readonly string[]> {
  const { code, stdout, stderr } = await run('fsck.erofs', [image], { ok: 'any' });
  return code === 0 ? [] : `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
}

/**
 * Writes the files of `image` below `folder`, which must not exist. Owners and device nodes need root; without it the tool keeps
 * modes and contents.
 */
export async function extractErofs(image: string, folder: string): Promise<void> {
  await run('fsck.erofs', [`--extract=${folder}`, '--preserve-perms', image]);
}

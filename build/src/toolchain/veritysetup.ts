// SPDX-License-Identifier: PMPL-1.0-or-later
//
// veritysetup (cryptsetup): a second opinion on our hash trees. Reads files, needs neither root nor device mapper.

import { run } from './exec.ts';

export interface VerityPlace {
  /** Data and hash tree in one file. */
  readonly file: string;
  /** Where the superblock stands. */
  readonly hash_offset_bytes: number;
  readonly root_hex: string;
}

/** What is wrong with the tree, nothing when each block of the data has its digest up to the root. */
export async function verifyVerity({ file, hash_offset_bytes, root_hex }: VerityPlace): Promise<readonly string[]> {
  const args = ['verify', `--hash-offset=${hash_offset_bytes}`, file, file, root_hex];
  const { code, stdout, stderr } = await run('veritysetup', args, { ok: 'any' });
  return code === 0 ? [] : `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// mkfs.fat and fsck.fat (dosfstools). `--invariant` and a given volume id, since the default id is a clock.

import { run } from './exec.ts';

export interface FatOptions {
  /** A file of the wanted size; all of it becomes the file system. */
  readonly path: string;
  /** At most 11 characters, upper case. */
  readonly label: string;
  /** 8 hexadecimal digits. */
  readonly volume_id: string;
  readonly bits: 16 | 32;
  readonly sector_bytes: number;
  readonly signal?: AbortSignal;
}

export async function mkfsFat(options: FatOptions): Promise<void> {
  const { path, label, volume_id, bits, sector_bytes, signal } = options;
  const args = ['--invariant', '-F', String(bits), '-i', volume_id, '-n', label, '-S', String(sector_bytes), path];
  await run('mkfs.fat', args, signal === undefined ? {} : { signal });
}

/** What `fsck.fat -n` complains of, none for a whole file system. The file is not changed. */
export async function fsckFat(path: string): Promise<readonly string[]> {
  const { code, stdout, stderr } = await run('fsck.fat', ['-n', path], { ok: 'any' });
  if (code === 0) return [];
  return `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('fsck.fat '));
}

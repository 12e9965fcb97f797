// SPDX-License-Identifier: PMPL-1.0-or-later
//
// The ESP: a FAT file system in a file of its own, with the loader in it. The same bytes for the same files and epoch.
// It does not sign and does not look into what it copies; `keys/authenticode.ts` has signed the loader before.

import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { UserError } from '../../errors.ts';
import { mkfsFat } from '../../toolchain/mkfs-fat.ts';
import { mcopy, mmd } from '../../toolchain/mtools.ts';

export interface FatFile {
  /** Path in the file system, parts separated by `/`: `EFI/BOOT/BOOTX64.EFI`. */
  readonly path: string;
  /** The host's file. */
  readonly source: string;
}

export interface FatRequest {
  /** The file to make; whatever was there is replaced. */
  readonly out: string;
  readonly size_bytes: number;
  readonly sector_bytes: number;
  /** The volume's name, at most 11 characters. */
  readonly label: string;
  /** The volume id is derived from it. */
  readonly seed: string;
  readonly files: readonly FatFile[];
  readonly source_date_epoch_seconds: number;
  readonly signal?: AbortSignal;
}

/** FAT32 needs 65525 clusters at least; below that firmware takes it for FAT16 whatever the label says (Microsoft's FAT specification, 1.03). */
const LEAST_FAT32_CLUSTERS = 65_525;
/** FAT has no date before it. */
const FAT_BEGINS_SECONDS = 315_532_800;

/** Room for the loader with the tables around it, for the check before anything is written. */
export const fatOverheadBytes = (size_bytes: number): number => Math.ceil(size_bytes / 32);

export async function makeFat(request: FatRequest): Promise<void> {
  const { out, size_bytes, sector_bytes, label, seed, signal } = request;
  await truncated(out, size_bytes);
  const bits = size_bytes / sector_bytes > LEAST_FAT32_CLUSTERS * 1.05 ? 32 : 16;
  const volume_id = createHash('sha256').update(`fat\0${seed}`).digest('hex').slice(0, 8);
  const common = signal === undefined ? {} : { signal };
  await mkfsFat({ path: out, label: label.slice(0, 11).toUpperCase(), volume_id, bits, sector_bytes, ...common });

  const options = { source_date_epoch_seconds: fatEpoch(request.source_date_epoch_seconds), ...common };
  const made = new Set<string>();
  for (const file of [...request.files].sort((one, other) => (one.path < other.path ? -1 : 1))) {
    for (const directory of parents(file.path)) {
      if (!made.has(directory)) await mmd(out, directory, options);
      made.add(directory);
    }
    await mcopy(out, file.source, file.path, options);
  }
}

/** Rounded down to FAT's two seconds, and not before 1980. */
export function fatEpoch(epoch_seconds: number): number {
  return Math.max(FAT_BEGINS_SECONDS, epoch_seconds - (epoch_seconds % 2));
}

function parents(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  if (path.startsWith('/') || path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new UserError(`image: "${path}" is no path for the ESP`, {
      code: 'image/esp-path',
      hint: 'write it as EFI/BOOT/BOOTX64.EFI',
    });
  }
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

async function truncated(path: string, size_bytes: number): Promise<void> {
  const file = await open(path, 'w');
  await file.truncate(size_bytes).finally(() => file.close());
}

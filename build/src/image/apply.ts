// SPDX-License-Identifier: PMPL-1.0-or-later
//
// Carries a plan out: one sparse raw file with table, ESP and slots. The file has its name only when it is whole.
// It decides no offset (plan.ts did) and builds no content (the steps did); formats/ wraps the result.

import { createHash } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { InternalError, UserError } from '../errors.ts';
import { type FatFile, fatOverheadBytes, makeFat } from './filesystems/fat.ts';
import { encodeGpt } from './gpt.ts';
import { type ImagePlan, type PlannedPartition, tableOf } from './plan.ts';
import { spaced } from './rules.ts';
import { copySparse, hashZeros, type Target, writeSparse } from './sparse.ts';

/** What to put where, by partition name. Every partition that the plan calls filled needs one. */
export type Content = { readonly kind: 'fat'; readonly files: readonly FatFile[] } | SlotContent;

export interface SlotContent {
  readonly kind: 'slot';
  /** A slot image: exactly as long as its partition, since its trailer stands at the end. Sparse is fine. */
  readonly image: string;
}

export interface ApplyRequest {
  readonly plan: ImagePlan;
  readonly contents: Readonly<Record<string, Content>>;
  /** Replaced at once when the new image is whole, untouched otherwise. */
  readonly out: string;
  readonly source_date_epoch_seconds: number;
  readonly signal?: AbortSignal;
  /** Called with the partition that is being written. */
  readonly onPartition?: (name: string) => void;
}

export interface AppliedImage {
  readonly path: string;
  readonly size_bytes: number;
  /** Of all bytes, holes included; taken while writing, so nobody needs to read the image again for it. */
  readonly sha256: string;
}

/**
 * Writes the image. Leaves nothing behind when it fails.
 * Errors: UserError `image/slot-size`, `image/too-small`, `image/content-missing`, `machine/disk-full`, `machine/program-missing`.
 */
export async function applyImage(request: ApplyRequest): Promise<AppliedImage> {
  const { plan, out } = request;
  await checkContents(request);
  // Names that a run which was killed leaves are those that the next one overwrites, and that the engine clears away.
  const partial = `${out}.writing`;
  const esp = `${out}.esp`;
  try {
    const sha256 = await writeImage(request, partial, esp);
    await rename(partial, out);
    return { path: out, size_bytes: plan.size_bytes, sha256 };
  } catch (error) {
    throw diskFull(error, plan, dirname(out));
  } finally {
    await Promise.all([rm(partial, { force: true }), rm(esp, { force: true })]);
  }
}

async function writeImage(request: ApplyRequest, partial: string, esp: string): Promise<string> {
  const { plan, contents, signal } = request;
  const table = encodeGpt(tableOf(plan));
  const file = await open(partial, 'w');
  try {
    await file.truncate(plan.size_bytes);
    const target: Target = { file, hash: createHash('sha256') };
    await writeSparse(target, table.start, 0);
    let position = table.start.length;
    for (const partition of [...plan.partitions].sort((one, other) => one.start_bytes - other.start_bytes)) {
      const content = contents[partition.name];
      if (!partition.filled || content === undefined) continue;
      request.onPartition?.(partition.name);
      const source = content.kind === 'slot' ? content.image : await espFile(request, partition, content.files, esp);
      hashZeros(target.hash, partition.start_bytes - position);
      position = partition.start_bytes + (await copySparse(source, target, partition.start_bytes, signal));
    }
    hashZeros(target.hash, table.end_offset_bytes - position);
    await writeSparse(target, table.end, table.end_offset_bytes);
    return target.hash.digest('hex');
  } finally {
    await file.close();
  }
}

async function espFile(
  request: ApplyRequest,
  partition: PlannedPartition,
  files: readonly FatFile[],
  out: string,
): Promise<string> {
  await makeFat({
    out,
    files,
    size_bytes: partition.size_bytes,
    sector_bytes: request.plan.sector_bytes,
    label: partition.label,
    seed: partition.guid,
    source_date_epoch_seconds: request.source_date_epoch_seconds,
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
  return out;
}

/** Everything that can be seen before the first byte is written. */
async function checkContents(request: ApplyRequest): Promise<void> {
  for (const partition of request.plan.partitions.filter((one) => one.filled)) {
    const content = request.contents[partition.name];
    if (content === undefined || content.kind !== partition.content) {
      throw new InternalError(`image: nothing was given to fill ${partition.name} with (wanted: ${partition.content})`);
    }
    if (content.kind === 'slot') await checkSlot(partition, content.image);
    else await checkFat(partition, content.files);
  }
}

async function checkSlot(partition: PlannedPartition, image: string): Promise<void> {
  const { size } = await stat(image);
  if (size === partition.size_bytes) return;
  throw new UserError(`image: the slot image ${image} is ${size} bytes, but ${partition.name} holds ${partition.size_bytes}`, {
    code: 'image/slot-size',
    hint: 'a slot image is as long as its partition, because its trailer stands at the end; make it again with this size',
  });
}

async function checkFat(partition: PlannedPartition, files: readonly FatFile[]): Promise<void> {
  let needed_bytes = fatOverheadBytes(partition.size_bytes);
  for (const file of files) needed_bytes += (await stat(file.source)).size;
  if (needed_bytes <= partition.size_bytes) return;
  throw new UserError(`image: ${partition.name} needs ${needed_bytes} bytes but its partition holds ${partition.size_bytes}`, {
    code: 'image/too-small',
    hint: 'raise the size of the ESP',
  });
}

function diskFull(error: unknown, plan: ImagePlan, folder: string): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const text = error instanceof Error ? error.message : '';
  if (code !== 'ENOSPC' && code !== 'EDQUOT' && !/No space left on device/u.test(text)) return error;
  return new UserError(`image: the disk is full: the image of ${spaced(plan.size_bytes)} does not fit in ${folder}`, {
    code: 'machine/disk-full',
    where: folder,
    hint: 'free some space, or remove old images with `just clean`; the last whole image is untouched',
    cause: error,
  });
}

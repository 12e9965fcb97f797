// SPDX-License-Identifier: PMPL-1.0-or-later
//
// Where everything on the disk goes: resolved partitions in, an immutable plan with every offset and size out. Pure.
// It reads no file and writes none: rules.ts says what is refused, apply.ts carries a plan out, gpt.ts knows the table's bytes.
//
// For `config/`: the resolved form of `images/partitions/NN-name.ncl` is one `ResolvedPartition` each, sorted by `order`
// (the NN). Sizes have become bytes, GUIDs are in lower case. `tests/image` and `steps/` make plans from nothing else.

import { throwAll } from '../errors.ts';
import { encodeSlotState, firstUsableLba, type GptTable, type SlotState } from './gpt.ts';
import { derivedGuid } from './guid.ts';
import { allTogether, beyondDisk, duplicateGuids, eachAlone, overlaps, roundUp, spaced, tooSmall } from './rules.ts';

/** What a partition holds. `fat`: the ESP with the loader. `slot`: EROFS, verity tree and trailer. `empty`: zeros, made use of on first boot. */
export type ContentKind = 'fat' | 'slot' | 'empty';

export interface ResolvedPartition {
  /** The NN of the file name: the order on the disk, and how a person finds the file. */
  readonly order: number;
  /** The name of the file name, as in `root-a`. Unique. */
  readonly name: string;
  /** The partition's name in the table, as in `ROOT-A`. Unique, at most 36 UTF-16 units. */
  readonly label: string;
  /** GPT type. */
  readonly type: string;
  /** GPT unique GUID; derived from the plan's seed and the label when absent. */
  readonly guid?: string;
  readonly size_bytes: number;
  /** Explicit place; the next aligned byte after the partition before when absent. */
  readonly start_bytes?: number;
  readonly content: ContentKind;
  /** Which slot, for `content: 'slot'`. */
  readonly slot?: 'A' | 'B';
  /** What a filled slot's attributes say. An empty slot's are always zero: priority 0 is "never boot". */
  readonly slot_state?: SlotState;
  /** Other attribute bits of UEFI and of the type, as a number: bit 0 required, bit 2 legacy boot. */
  readonly attributes?: number;
  /** Where it was said, for messages: `images/partitions/20-root-a.ncl`. */
  readonly where: string;
}

export interface DiskOptions {
  /** 512 unless a variant says 4096. */
  readonly sector_bytes?: number;
  /** 2 MiB unless said otherwise: what Flatcar does, a multiple of every erase block and stripe that we know. */
  readonly alignment_bytes?: number;
  /** The disk's size; the least that holds all partitions when absent. */
  readonly size_bytes?: number;
  /** Disk GUID; derived from the seed when absent. */
  readonly guid?: string;
}

/** What is about to be put in a partition, if it is known already: `just plan` asks before anything is built. */
export interface ContentSize {
  readonly size_bytes: number;
  /** The largest files in it, largest first; the message of a refusal shows five. */
  readonly largest?: readonly { readonly path: string; readonly size_bytes: number }[];
}

export interface PlanInput {
  readonly partitions: readonly ResolvedPartition[];
  readonly disk?: DiskOptions;
  /** GUIDs are derived from it. The same seed gives the same disk: say `profile/dev`, never a clock. */
  readonly seed: string;
  /** `A`: slot B stays empty until an update fills it. `both`: the same content in both, for tests of the choice between them. */
  readonly slots: 'A' | 'both';
  /** By partition name. */
  readonly contents?: Readonly<Record<string, ContentSize>>;
}

export interface PlannedPartition {
  readonly order: number;
  readonly name: string;
  readonly label: string;
  /** Entry in the table, from 1. */
  readonly number: number;
  readonly type: string;
  readonly guid: string;
  readonly content: ContentKind;
  readonly slot: 'A' | 'B' | null;
  /** False for a slot that stays empty, and for `empty`. */
  readonly filled: boolean;
  readonly start_bytes: number;
  /** Exclusive. */
  readonly end_bytes: number;
  readonly size_bytes: number;
  readonly first_lba: number;
  /** Inclusive. */
  readonly last_lba: number;
  /** 16 hexadecimal digits, since JSON's numbers end at 2^53. */
  readonly attributes: string;
}

export interface ImagePlan {
  readonly disk_guid: string;
  readonly sector_bytes: number;
  readonly disk_sectors: number;
  readonly size_bytes: number;
  readonly partitions: readonly PlannedPartition[];
}

export const DEFAULT_ALIGNMENT_BYTES = 2 * 2 ** 20;

/**
 * The plan, frozen to the bottom. Throws UserError (several together) for: a size that is no multiple of the sector, a partition too small
 * for its content, overlap, a disk too small, a duplicate name, label, GUID or slot, a wrong GUID, a label that is too long.
 */
export function planImage(input: PlanInput): ImagePlan {
  const sector_bytes = input.disk?.sector_bytes ?? 512;
  const alignment_bytes = input.disk?.alignment_bytes ?? DEFAULT_ALIGNMENT_BYTES;
  throwAll([...eachAlone(input.partitions, sector_bytes), ...allTogether(input.partitions)]);

  const placed = place(input, sector_bytes, alignment_bytes);
  const size_bytes = input.disk?.size_bytes ?? leastDisk(placed, sector_bytes, alignment_bytes);
  throwAll([
    ...overlaps(placed, sector_bytes),
    ...beyondDisk(placed, size_bytes, sector_bytes),
    ...tooSmall(placed, input.contents ?? {}),
    ...duplicateGuids(placed, input.partitions),
  ]);
  return deepFreeze({
    disk_guid: input.disk?.guid ?? derivedGuid(input.seed, 'disk'),
    sector_bytes,
    disk_sectors: size_bytes / sector_bytes,
    size_bytes,
    partitions: placed,
  });
}

/** The table that a plan asks for. */
export function tableOf(plan: ImagePlan): GptTable {
  return {
    disk_guid: plan.disk_guid,
    sector_bytes: plan.sector_bytes,
    disk_sectors: plan.disk_sectors,
    entries: plan.partitions.map((partition) => ({
      number: partition.number,
      type: partition.type,
      guid: partition.guid,
      name: partition.label,
      first_lba: partition.first_lba,
      last_lba: partition.last_lba,
      attributes: BigInt(`0x${partition.attributes}`),
    })),
  };
}

/** Lines for a person, columns aligned: `20 root-a  erofs+verity  2 MiB .. 514 MiB  512 MiB`. The same text in the plan and in the log. */
export function renderPlan(plan: ImagePlan): string {
  const rows = plan.partitions.map((partition) => [
    `${String(partition.order).padStart(2, '0')} ${partition.name}`,
    contentName(partition),
    `${spaced(partition.start_bytes)} .. ${spaced(partition.end_bytes)}`,
    spaced(partition.size_bytes),
    partition.label,
    slotText(partition),
  ]);
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return [...lines, `disk  ${spaced(plan.size_bytes)}, ${plan.disk_sectors} sectors of ${plan.sector_bytes} bytes`].join('\n');
}

function contentName(partition: PlannedPartition): string {
  if (partition.content === 'slot') return partition.filled ? 'erofs+verity' : 'empty slot';
  return partition.content;
}

function slotText(partition: PlannedPartition): string {
  if (partition.slot === null) return '';
  const bits = BigInt(`0x${partition.attributes}`);
  return `slot ${partition.slot} priority ${(bits >> 48n) & 15n} tries ${(bits >> 52n) & 15n} successful ${(bits >> 56n) & 1n}`;
}

function place(input: PlanInput, sector_bytes: number, alignment_bytes: number): PlannedPartition[] {
  const sorted = [...input.partitions].sort((one, other) => one.order - other.order);
  let next = roundUp(firstUsableLba(sector_bytes) * sector_bytes, alignment_bytes);
  return sorted.map((partition, index) => {
    const start_bytes = partition.start_bytes ?? next;
    const end_bytes = start_bytes + partition.size_bytes;
    next = Math.max(next, roundUp(end_bytes, alignment_bytes));
    const filled =
      partition.content === 'fat' || (partition.content === 'slot' && (partition.slot === 'A' || input.slots === 'both'));
    return {
      order: partition.order,
      name: partition.name,
      label: partition.label,
      number: index + 1,
      type: partition.type,
      guid: partition.guid ?? derivedGuid(input.seed, partition.label),
      content: partition.content,
      slot: partition.slot ?? null,
      filled,
      start_bytes,
      end_bytes,
      size_bytes: partition.size_bytes,
      first_lba: start_bytes / sector_bytes,
      last_lba: end_bytes / sector_bytes - 1,
      attributes: attributesOf(partition, filled).toString(16).padStart(16, '0'),
    };
  });
}

function attributesOf(partition: ResolvedPartition, filled: boolean): bigint {
  const plain = BigInt(partition.attributes ?? 0);
  return partition.slot_state !== undefined && filled ? plain | encodeSlotState(partition.slot_state) : plain;
}

/** Room for the backup table after the last partition, then up to a whole alignment unit: clouds want whole MiB. */
function leastDisk(placed: readonly PlannedPartition[], sector_bytes: number, alignment_bytes: number): number {
  const end = Math.max(0, ...placed.map((partition) => partition.end_bytes));
  return roundUp(end + (firstUsableLba(sector_bytes) - 1) * sector_bytes, alignment_bytes);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// What a disk's plan refuses, one small function a fault. Pure; each returns all that it found, plan.ts throws them together.
// The refusals are listed in `planImage`'s comment and each has a test in rules.test.ts named by its fault.

import { UserError } from '../errors.ts';
import { ENTRY_COUNT, firstUsableLba, lastUsableLba, NAME_UNITS } from './gpt.ts';
import { isGuid } from './guid.ts';
import type { ContentSize, PlannedPartition, ResolvedPartition } from './plan.ts';

const MIB = 2 ** 20;
/** Flatcar's type of /usr and root slots: what the loader and the storage server look for (servers-rs/lib/gpt, `types::SLOT`). */
export const SLOT_TYPE = '5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6';

export function eachAlone(partitions: readonly ResolvedPartition[], sector_bytes: number): UserError[] {
  const errors: UserError[] = [];
  const refuse = (partition: ResolvedPartition, code: string, message: string, hint: string, field: string): void => {
    errors.push(
      new UserError(`image: ${partition.name} ${message}`, { code: `image/${code}`, where: at(partition, field), hint }),
    );
  };
  if (partitions.length > ENTRY_COUNT) {
    errors.push(
      new UserError(`image: ${partitions.length} partitions, but the table has ${ENTRY_COUNT} entries`, {
        code: 'image/too-many-partitions',
        hint: 'remove partitions',
      }),
    );
  }
  for (const partition of partitions) {
    const { size_bytes, start_bytes } = partition;
    if (!Number.isSafeInteger(size_bytes) || size_bytes <= 0) {
      refuse(partition, 'no-size', `has a size of ${size_bytes} bytes`, 'give it a size such as "64MiB"', 'size');
    } else if (size_bytes % sector_bytes !== 0) {
      const hint = `use ${roundUp(size_bytes, sector_bytes)} bytes, or whole MiB`;
      refuse(
        partition,
        'size-not-sectors',
        `is ${size_bytes} bytes, which is not a multiple of the ${sector_bytes}-byte sector`,
        hint,
        'size',
      );
    }
    if (
      start_bytes !== undefined &&
      (!Number.isSafeInteger(start_bytes) || start_bytes < 0 || start_bytes % sector_bytes !== 0)
    ) {
      const hint = 'leave it out, then it goes to the next free 2 MiB';
      refuse(
        partition,
        'start-not-sectors',
        `starts at ${start_bytes}, which is not a multiple of the ${sector_bytes}-byte sector`,
        hint,
        'start',
      );
    }
    if (partition.label.length === 0 || partition.label.length > NAME_UNITS) {
      const hint = `use 1 to ${NAME_UNITS} characters`;
      refuse(
        partition,
        'label-length',
        `has the label "${partition.label}" of ${partition.label.length} characters`,
        hint,
        'label',
      );
    }
    if (!isGuid(partition.type)) {
      refuse(
        partition,
        'bad-guid',
        `has the type "${partition.type}", which is no GUID`,
        'write it as 8-4-4-4-12 hexadecimal digits',
        'type',
      );
    }
    if (partition.guid !== undefined && !isGuid(partition.guid)) {
      refuse(
        partition,
        'bad-guid',
        `has the GUID "${partition.guid}", which is none`,
        'write it as 8-4-4-4-12 hexadecimal digits',
        'guid',
      );
    }
    if (partition.content === 'slot' && isGuid(partition.type) && partition.type !== SLOT_TYPE) {
      refuse(
        partition,
        'slot-type',
        `is a slot of type ${partition.type}, which the loader does not look for`,
        `use ${SLOT_TYPE}`,
        'type',
      );
    }
    if ((partition.content === 'slot') !== (partition.slot !== undefined)) {
      refuse(
        partition,
        'slot-content',
        'must name its slot exactly if its content is a slot',
        'set slot to A or B, or change content',
        'slot',
      );
    }
  }
  return errors;
}

export function allTogether(partitions: readonly ResolvedPartition[]): UserError[] {
  return [
    ...duplicates(partitions, 'name', (partition) => partition.name, 'duplicate-name'),
    ...duplicates(partitions, 'label', (partition) => partition.label, 'duplicate-label'),
    ...duplicates(partitions, 'slot', (partition) => partition.slot, 'duplicate-slot'),
  ];
}

export function duplicateGuids(placed: readonly PlannedPartition[], partitions: readonly ResolvedPartition[]): UserError[] {
  const guids = new Map(placed.map((partition) => [partition.name, partition.guid]));
  return duplicates(partitions, 'guid', (partition) => guids.get(partition.name), 'duplicate-guid');
}

function duplicates(
  partitions: readonly ResolvedPartition[],
  field: string,
  pick: (partition: ResolvedPartition) => string | undefined,
  code: string,
): UserError[] {
  const seen = new Map<string, ResolvedPartition>();
  const errors: UserError[] = [];
  for (const partition of partitions) {
    const value = pick(partition);
    if (value === undefined) continue;
    const first = seen.get(value);
    if (first !== undefined) {
      errors.push(
        new UserError(`image: ${partition.name} and ${first.name} have the same ${field} ${value}`, {
          code: `image/${code}`,
          where: at(partition, field),
          hint: `change the ${field} of one of them (the other is in ${first.where})`,
        }),
      );
    }
    seen.set(value, first ?? partition);
  }
  return errors;
}

export function overlaps(placed: readonly PlannedPartition[], sector_bytes: number): UserError[] {
  const errors: UserError[] = [];
  const table_end = firstUsableLba(sector_bytes) * sector_bytes;
  const sorted = [...placed].sort((one, other) => one.start_bytes - other.start_bytes);
  sorted.forEach((partition, index) => {
    if (partition.start_bytes < table_end) {
      errors.push(
        new UserError(`image: ${partition.name} starts at ${spaced(partition.start_bytes)}, inside the partition table`, {
          code: 'image/overlap',
          hint: `start at ${spaced(2 * MIB)} or later`,
        }),
      );
    }
    const before = sorted[index - 1];
    if (before !== undefined && before.end_bytes > partition.start_bytes) {
      errors.push(
        new UserError(
          `image: ${partition.name} (${spaced(partition.start_bytes)} .. ${spaced(partition.end_bytes)}) overlaps ` +
            `${before.name} (${spaced(before.start_bytes)} .. ${spaced(before.end_bytes)})`,
          { code: 'image/overlap', hint: 'leave out `start`, or move one of them' },
        ),
      );
    }
  });
  return errors;
}

export function beyondDisk(placed: readonly PlannedPartition[], size_bytes: number, sector_bytes: number): UserError[] {
  if (size_bytes % sector_bytes !== 0) {
    return [
      new UserError(`image: the disk's size of ${size_bytes} bytes is not a multiple of the ${sector_bytes}-byte sector`, {
        code: 'image/size-not-sectors',
        hint: 'use whole MiB, or leave the size out',
      }),
    ];
  }
  const end_bytes = (lastUsableLba(size_bytes / sector_bytes, sector_bytes) + 1) * sector_bytes;
  return placed
    .filter((partition) => partition.end_bytes > end_bytes)
    .map(
      (partition) =>
        new UserError(
          `image: ${partition.name} ends at ${spaced(partition.end_bytes)}, but the disk of ${spaced(size_bytes)} can hold partitions up to ${end_bytes} bytes`,
          { code: 'image/exceeds-disk', hint: 'make the disk larger or leave its size out, or make a partition smaller' },
        ),
    );
}

export function tooSmall(placed: readonly PlannedPartition[], contents: Readonly<Record<string, ContentSize>>): UserError[] {
  return placed.flatMap((partition) => {
    const content = contents[partition.name];
    return content === undefined || !partition.filled ? [] : doesNotFit(partition, content);
  });
}

/** What to say when `content` is larger than its partition; nothing when it fits. */
export function doesNotFit(
  partition: Pick<PlannedPartition, 'order' | 'name' | 'size_bytes'>,
  content: ContentSize,
): UserError[] {
  if (content.size_bytes <= partition.size_bytes) return [];
  const largest = (content.largest ?? []).slice(0, 5).map((file) => `\n    ${rough(file.size_bytes).padStart(9)}  ${file.path}`);
  const files = largest.length === 0 ? '' : `; the largest files in it:${largest.join('')}`;
  return [
    new UserError(
      `image: ${partition.name} needs ${rough(content.size_bytes)} but its partition holds ${rough(partition.size_bytes)}${files}`,
      {
        code: 'image/too-small',
        where: `images/partitions/${String(partition.order).padStart(2, '0')}-${partition.name}.ncl, field size`,
        hint: `raise the size to ${spaced(roundUp(content.size_bytes, MIB))} or more, or leave files out`,
      },
    ),
  ];
}

/** Rounded up, so that "needs" is never understated. */
function rough(bytes: number): string {
  return bytes >= MIB ? `${Math.ceil(bytes / MIB)} MiB` : `${Math.ceil(bytes / 1024)} KiB`;
}

const at = (partition: ResolvedPartition, field: string): string => `${partition.where}, field ${field}`;
export const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** A size that nobody has to parse back: exact, with a space, `514 MiB`. */
export function spaced(bytes: number): string {
  for (const [unit, of] of [
    ['GiB', 2 ** 30],
    ['MiB', MIB],
    ['KiB', 1024],
  ] as const) {
    if (bytes >= of && bytes % of === 0) return `${bytes / of} ${unit}`;
  }
  return `${bytes} B`;
}

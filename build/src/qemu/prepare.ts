// SPDX-License-Identifier: PMPL-1.0-or-later
// From a person's wishes to a machine that can be started: overlay, firmware variables, slot attributes, command line.
// Everything that it makes goes into the folder that it is given.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import type { DiskFormat } from '../toolchain/qemu.ts';
import type { SlotReport } from '../toolchain/slot-tool.ts';
import type { DirectBoot } from './arguments.ts';
import { type Artifacts, artifactsOf, built, type Profile } from './artifacts.ts';
import { Disk, type SlotName } from './disk.ts';
import { createFirmware } from './firmware.ts';
import type { MachineOptions } from './start.ts';

export interface Wishes {
  readonly profile: Profile;
  readonly image: string | undefined;
  readonly slot: SlotName | undefined;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly secureBoot: boolean;
  readonly direct: boolean;
  readonly gdb: string | undefined;
  readonly icount: boolean;
}

/** Errors: `UserError` `run-qemu/not-built` and others for files that are not there. */
export async function prepareMachine(
  wishes: Wishes,
  places: { readonly root: string; readonly folder: string },
): Promise<Omit<MachineOptions, 'name'>> {
  const artifacts = artifactsOf(places.root, wishes.profile);
  const image = wishes.image === undefined ? built(artifacts.image, wishes.profile) : existing(wishes.image);
  const disk = await Disk.over({ path: image, format: formatOf(image) }, places.folder, 'disk');
  if (wishes.slot !== undefined) await prefer(disk, wishes.slot);
  const variables = { copyTo: join(places.folder, 'variables.fd') };
  const boot = wishes.direct
    ? await directBoot(artifacts, wishes.profile)
    : await createFirmware({
        ...variables,
        ...(wishes.secureBoot ? { secureBootVariables: built(artifacts.secureBootVariables, wishes.profile) } : {}),
      });
  return {
    boot,
    disks: [{ path: disk.path, format: disk.format }],
    cpus: wishes.cpus,
    memoryMiB: wishes.memoryMiB,
    icount: wishes.icount,
    ...(wishes.gdb === undefined ? {} : { gdb: wishes.gdb }),
  };
}

/** The kernel and the bundle, with what storage must know to mount slot A of the disk. */
export async function directBoot(artifacts: Artifacts, profile: Profile): Promise<DirectBoot> {
  const { verity } = JSON.parse(await readFile(built(artifacts.slot, profile), 'utf8')) as SlotReport;
  return {
    kind: 'direct',
    kernel: built(artifacts.kernel, profile),
    initrd: built(artifacts.bundle, profile),
    commandLine: `slot=a verity=${verity.root}:${verity.salt}:${verity.data_blocks}`,
  };
}

/** Makes the loader take `slot` first. An empty one gets the other's content: a slot does not know which one it is. */
async function prefer(disk: Disk, slot: SlotName): Promise<void> {
  const other: SlotName = slot === 'A' ? 'B' : 'A';
  if (!(await disk.slotIsFilled(slot))) await disk.copySlot(other, slot);
  await disk.setSlots({
    [slot]: { priority: 2, tries: 0, successful: true },
    [other]: { ...(await disk.slot(other)), priority: 1 },
  });
}

function existing(path: string): string {
  const absolute = resolve(path);
  return built(absolute, 'dev');
}

/** By its name. Errors: `UserError` `run-qemu/image` for another one. */
function formatOf(path: string): DiskFormat {
  if (path.endsWith('.raw') || path.endsWith('.img')) return 'raw';
  if (path.endsWith('.qcow2')) return 'qcow2';
  throw new UserError(`${path} is neither .raw nor .qcow2`, { code: 'run-qemu/image', hint: 'name a raw or a qcow2 image' });
}

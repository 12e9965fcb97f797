// SPDX-License-Identifier: PMPL-1.0-or-later
// `it` for tests of what comes after the boot chain: kernel and bundle started directly, in under a second of firmware.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test as base } from 'vitest';
import {
  artifactsOf,
  type BadSignName,
  createWriteLog,
  Disk,
  directBoot,
  type Machine,
  type NetworkSpec,
  type Profile,
  startMachine,
} from '../../build/src/testing.ts';
import { imageForTests, machineFolder } from './image.ts';
import { root } from './root.ts';
import { machineTurn } from './turns.ts';

export interface DirectOptions {
  readonly profile?: Profile;
  /** Kernel, bundle and disk of another image than the usual: `linux-tests` has the programs for tests of Linux cells. */
  readonly variant?: string;
  /** Another bundle than the build's; `none` for none at all. */
  readonly bundle?: string | 'none';
  /** Another kernel than the build's. */
  readonly kernel?: string;
  readonly cpus?: number;
  readonly networks?: readonly NetworkSpec[];
  readonly memoryMiB?: number;
  /** Where a debugger connects; the machine then waits until it is resumed. */
  readonly gdb?: string;
  /** Time is counted in instructions, on one CPU. */
  readonly icount?: boolean;
  readonly expected?: readonly BadSignName[];
  /** Another disk than a new one of the built image; without one, storage has nothing to mount. */
  readonly disk?: 'none' | Pick<Disk, 'path' | 'format'>;
  /** A file in which every write to the disk is recorded. */
  readonly writeLog?: string;
}

export interface Direct {
  /** A folder of this test, for files that it makes. */
  readonly folder: string;
  start(options?: DirectOptions): Promise<Machine>;
}

export const it = base.extend<{ direct: Direct }>({
  direct: async ({ task }, use) => {
    const name = [task.suite?.name, task.name].filter(Boolean).join(' ');
    const folder = machineFolder(name);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const machines: Machine[] = [];
    const start = async (options: DirectOptions = {}): Promise<Machine> => {
      const machine = await startDirect(`${name} boot ${machines.length + 1}`, folder, options);
      machines.push(machine);
      return machine;
    };
    await use({ folder, start });
    const ends = await Promise.allSettled(machines.map((machine) => machine.close()));
    const failed = task.result?.state === 'fail' || ends.some((end) => end.status === 'rejected');
    if (!failed) rmSync(folder, { recursive: true, force: true });
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  },
});

async function startDirect(name: string, folder: string, options: DirectOptions): Promise<Machine> {
  const profile = options.profile ?? 'dev';
  const { initrd, ...boot } = await directBoot(artifactsOf(root, profile, options.variant), profile);
  const bundle = options.bundle ?? initrd;
  const fresh = async () =>
    Disk.over(await imageForTests('fresh', profile, options.variant), folder, `disk-${performance.now()}`);
  const disks = options.disk === 'none' ? [] : [options.disk ?? (await fresh())];
  const { writeLog } = options;
  if (writeLog !== undefined) createWriteLog(writeLog);
  const done = await machineTurn();
  try {
    const machine = await startMachine({
      name,
      boot: {
        ...boot,
        ...(options.kernel === undefined ? {} : { kernel: options.kernel }),
        ...(bundle === undefined || bundle === 'none' ? {} : { initrd: bundle }),
      },
      disks: disks.map(({ path, format }) => ({ path, format, ...(writeLog === undefined ? {} : { writeLog }) })),
      cpus: options.cpus ?? 1,
      ...(options.icount === undefined ? {} : { icount: options.icount }),
      memoryMiB: options.memoryMiB ?? 256,
      ...(options.gdb === undefined ? {} : { gdb: options.gdb }),
      logFolder: folder,
      ...(options.networks === undefined ? {} : { networks: options.networks }),
      ...(options.expected === undefined ? {} : { expected: options.expected }),
    });
    void machine.ended.then(done);
    return machine;
  } catch (error) {
    done();
    throw error;
  }
}

/** Where the build left `name` of the profile. */
export function artifact(name: 'kernel' | 'bundle' | 'image', profile: Profile = 'dev'): string {
  return artifactsOf(root, profile)[name];
}

/** A file in the test's folder. */
export const inFolder = (direct: Direct, name: string): string => join(direct.folder, name);

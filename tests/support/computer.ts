// SPDX-License-Identifier: PMPL-1.0-or-later
// A computer for one test: a disk and firmware of its own, that can be switched on again and again. What a test leaves is removed
// when it passed and kept in out/test/machines when it failed, so that the command in its message can be repeated.
import { mkdirSync, rmSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test as base } from 'vitest';
import {
  type BadSignName,
  createFirmware,
  createWriteLog,
  Disk,
  type DiskFaults,
  type FirmwareBoot,
  type Machine,
  type MachineOptions,
  startMachine,
  startTpm,
  temporaryFolder,
} from '../../build/src/testing.ts';
import { imageForTests, machineFolder, secureBootVariables, type TestImage } from './image.ts';
import { machineTurn } from './turns.ts';

export interface ComputerOptions {
  /** `fresh`: as built, slot A alone. `both`: slot B holds the same, with a lower priority. */
  readonly image?: TestImage;
  readonly profile?: 'dev' | 'prod';
  readonly secureBoot?: boolean;
}

export interface StartOptions extends DiskFaults {
  readonly cpus?: number;
  readonly memoryMiB?: number;
  readonly expected?: readonly BadSignName[];
  readonly reset?: MachineOptions['reset'];
  /** With a software TPM, new at each start. */
  readonly tpm?: true;
  /** Record every write of this run; `writes()` reads it back. */
  readonly recordWrites?: boolean;
}

export class Computer {
  readonly name: string;
  readonly folder: string;
  readonly disk: Disk;
  readonly #firmware: FirmwareBoot;
  readonly #machines: Machine[] = [];
  readonly #others: Computer[] = [];

  private constructor(name: string, folder: string, disk: Disk, firmware: FirmwareBoot) {
    this.name = name;
    this.folder = folder;
    this.disk = disk;
    this.#firmware = firmware;
  }

  static async make(name: string, options: ComputerOptions = {}): Promise<Computer> {
    const folder = machineFolder(name);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const profile = options.profile ?? 'dev';
    const disk = await Disk.over(await imageForTests(options.image ?? 'fresh', profile), folder, 'disk');
    const firmware = await createFirmware({
      copyTo: join(folder, 'variables.fd'),
      ...(options.secureBoot === true ? { secureBootVariables: await secureBootVariables(profile) } : {}),
    });
    return new Computer(name, folder, disk, firmware);
  }

  /** Another computer with this one's firmware variables and another disk: what a cloned or replaced disk meets. */
  async withDisk(name: string, disk: { readonly path: string; readonly format: 'raw' | 'qcow2' }): Promise<Computer> {
    const folder = machineFolder(name);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const overlay = await Disk.over(disk, folder, 'disk');
    const variables = join(folder, 'variables.fd');
    await copyFile(this.#firmware.variables, variables);
    const other = new Computer(name, folder, overlay, { ...this.#firmware, variables });
    this.#others.push(other);
    return other;
  }

  /** The disk as it is now; neither changes with the other. Nothing may run. */
  async copyOfDisk(name: string): Promise<Disk> {
    const path = join(this.folder, `${name}.qcow2`);
    await copyFile(this.disk.path, path);
    return Disk.at(path, this.disk.format);
  }

  get writeLog(): string {
    return join(this.folder, 'writes.log');
  }

  /** Switches it on. At most two computers run at a time; others wait here. */
  async start(options: StartOptions = {}): Promise<Machine> {
    const turn = await machineTurn();
    const tpm = options.tpm === true ? await temporaryTpm() : undefined;
    const done = () => {
      void tpm?.close();
      turn();
    };
    try {
      if (options.recordWrites === true) createWriteLog(this.writeLog);
      const count = this.#machines.length + 1;
      const machine = await startMachine({
        name: `${this.name} boot ${count}`,
        boot: this.#firmware,
        disks: [
          {
            path: this.disk.path,
            format: this.disk.format,
            ...(options.recordWrites === true ? { writeLog: this.writeLog } : {}),
            ...(options.writeFault === undefined ? {} : { writeFault: options.writeFault }),
            ...(options.readFaults === undefined ? {} : { readFaults: options.readFaults }),
          },
        ],
        cpus: options.cpus ?? 1,
        memoryMiB: options.memoryMiB ?? 256,
        logFolder: this.folder,
        ...(tpm === undefined ? {} : { tpm: tpm.socket }),
        ...(options.reset === undefined ? {} : { reset: options.reset }),
        ...(options.expected === undefined ? {} : { expected: options.expected }),
      });
      void machine.ended.then(done);
      this.#machines.push(machine);
      return machine;
    } catch (error) {
      done();
      throw error;
    }
  }

  /** Ends what still runs. Errors: the story of a bad sign that no wait has told. */
  async close(): Promise<void> {
    const ends = await Promise.allSettled([...this.#machines, ...this.#others].map((one) => one.close()));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** Removes its files, and those of computers that came from it. */
  remove(): void {
    for (const one of this.#others) one.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function temporaryTpm() {
  const folder = temporaryFolder();
  const { socket, close } = await startTpm(folder.path);
  return { socket, close: () => close().finally(folder.remove) };
}

/** `it` with `computer(options)`: as many as a test asks for, closed at its end. */
export const it = base.extend<{ computer: (options?: ComputerOptions) => Promise<Computer> }>({
  computer: async ({ task }, use) => {
    const made: Computer[] = [];
    const title = [task.suite?.name, task.name].filter(Boolean).join(' ');
    await use(async (options) => {
      const one = await Computer.make(made.length === 0 ? title : `${title} ${made.length + 1}`, options);
      made.push(one);
      return one;
    });
    const ends = await Promise.allSettled(made.map((one) => one.close()));
    const failed = task.result?.state === 'fail' || ends.some((end) => end.status === 'rejected');
    if (!failed) for (const one of made) one.remove();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  },
});

/** Limits for waits through firmware: about 6 s on an idle machine, and ten times that on a busy one. */
export const boots = { timeoutMs: 120_000 } as const;
/** What follows at once. */
export const soon = { timeoutMs: 60_000 } as const;

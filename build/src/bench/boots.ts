// SPDX-License-Identifier: PMPL-1.0-or-later
// From the firmware's hand-over to the line that says ready: guest instructions and wall time, of ours or of a peer, in the same
// emulator. Instructions are counted by a plugin on one CPU; a count is read when the emulator ends, so each end of the span is a
// run of its own. Between a line and the end lie a few milliseconds of the guest, under one percent of a boot.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { InternalError } from '../errors.ts';
import { Disk } from '../qemu/disk.ts';
import { createFirmware } from '../qemu/firmware.ts';
import { startMachine } from '../qemu/start.ts';
import { temporaryFolder } from '../qemu/workspace.ts';
import { run } from '../toolchain/exec.ts';
import { median } from './figures.ts';

export interface Subject {
  readonly name: string;
  readonly image: string;
  readonly ready: RegExp;
  /** How long it may take under instruction counting. */
  readonly timeoutMs: number;
}

export interface BootFigures {
  readonly instructions: number;
  readonly wallS: number;
}

/** Printed by the firmware as its last line before the first program of a disk runs: the same start for everybody. */
const handOver = /^BdsDxe: starting Boot/;
const wallRuns = 3;

export async function measureBoot(
  subject: Subject,
  context: { readonly root: string; readonly say: (text: string) => void },
): Promise<BootFigures> {
  const folder = temporaryFolder();
  try {
    const plugin = await compileCounter(context.root, folder.path);
    context.say(`${subject.name}: counting instructions`);
    const upToHandOver = await countUntil(subject, handOver, plugin, folder.path);
    const upToReady = await countUntil(subject, subject.ready, plugin, folder.path);
    const walls: number[] = [];
    for (let round = 1; round <= wallRuns; round += 1) {
      context.say(`${subject.name}: wall time, run ${round} of ${wallRuns}`);
      walls.push(await wallTime(subject, folder.path));
    }
    return { instructions: upToReady - upToHandOver, wallS: median(walls) };
  } finally {
    folder.remove();
  }
}

async function compileCounter(root: string, folder: string): Promise<string> {
  const out = join(folder, 'instruction-count.so');
  await run('gcc', ['-shared', '-fPIC', '-O2', '-o', out, join(root, 'scripts', 'peer', 'instruction-count.c')]);
  return out;
}

async function countUntil(subject: Subject, line: RegExp, plugin: string, folder: string): Promise<number> {
  const machine = await start(subject, folder, plugin);
  try {
    await machine.console.waitFor(line, { timeoutMs: subject.timeoutMs });
    await machine.quit();
    const [, count] = await machine.console.waitFor(/emulator: instructions: (\d+)/, { timeoutMs: 10_000 });
    return Number(count);
  } finally {
    await machine.close();
  }
}

async function wallTime(subject: Subject, folder: string): Promise<number> {
  const machine = await start(subject, folder);
  try {
    await machine.console.waitFor(subject.ready, { timeoutMs: subject.timeoutMs });
    const { lines } = machine.console;
    const begin = lines.find(({ text }) => handOver.test(text));
    const end = lines.find(({ text }) => subject.ready.test(text));
    if (begin === undefined || end === undefined)
      throw new InternalError(`${subject.name}: the firmware did not say that it hands over`);
    return (end.atMs - begin.atMs) / 1_000;
  } finally {
    await machine.close();
  }
}

async function start(subject: Subject, parent: string, plugin?: string) {
  const folder = join(parent, `run-${performance.now()}`);
  mkdirSync(folder);
  const disk = await Disk.over({ path: subject.image, format: 'raw' }, folder, 'disk');
  return startMachine({
    name: subject.name,
    boot: await createFirmware({ copyTo: join(folder, 'variables.fd') }),
    disks: [{ path: disk.path, format: disk.format }],
    cpus: 1,
    memoryMiB: 512,
    accelerator: 'tcg',
    expected: ['server-panic'],
    ...(plugin === undefined ? {} : { icount: true, plugins: [plugin] }),
  });
}

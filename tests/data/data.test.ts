// SPDX-License-Identifier: PMPL-1.0-or-later
// DATA on a node: made by the first boot that needs it, kept over boots, deaths of servers and power cuts. e2fsck is the judge of the disk.
// Every power cut of many workloads is tried on the host, with the same crate: servers-rs/lib/ext4/tests/power_cut.rs.
import { writeFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { type BadSignName, changes, Disk, type Machine, readWriteLog, run } from '../../build/src/testing.ts';
import { type Direct, inFolder, it } from '../support/direct.ts';
import { imageForTests } from '../support/image.ts';
import { suiteBundle, tapOf } from '../support/suite.ts';

/** The suite ends servers on purpose. */
const onPurpose: readonly BadSignName[] = ['server-fault', 'server-panic', 'capability-fault', 'test-not-ok'];
const patience = 180_000;

interface Boot {
  readonly machine: Machine;
  /** Boots before this one whose files were all there. */
  readonly earlier: number;
}

/** Boots the data tests on a disk; every one of them passes. */
async function boot(direct: Direct, disk: Disk, writeLog?: string, more: readonly string[] = []): Promise<Boot> {
  const bundle = await suiteBundle('data', 'dev', ['data', ...more]);
  const options = { bundle, disk, expected: onPurpose, ...(writeLog === undefined ? {} : { writeLog }) };
  const machine = await direct.start(options);
  await tapOf(machine, patience);
  const [line = ''] = machine.console.seen(/data: found \d+ earlier boots/);
  return { machine, earlier: Number(/found (\d+) earlier/.exec(line)?.[1]) };
}

const freshDisk = async (direct: Direct, name: string) => Disk.over(await imageForTests('fresh', 'dev'), direct.folder, name);

/** DATA as e2fsck leaves it: the journal replayed, then nothing to complain about. */
async function check(direct: Direct, disk: Disk, name: string): Promise<void> {
  const { offsetBytes, lengthBytes } = await disk.partition('DATA');
  const file = inFolder(direct, `${name}.ext4`);
  await writeFile(file, await disk.read(offsetBytes, lengthBytes));
  const replayed = await run('e2fsck', ['-fp', file], { ok: 'any' });
  expect(replayed.code, replayed.stdout).toBeLessThanOrEqual(1);
  const { code, stdout } = await run('e2fsck', ['-fn', file], { ok: 'any' });
  expect(code, stdout).toBe(0);
}

describe('DATA', () => {
  it('loses no acknowledged write in a hundred deaths of its server under load', async ({ direct }) => {
    const disk = await freshDisk(direct, 'killed');
    const { machine } = await boot(direct, disk, undefined, ['kills']);
    expect(machine.console.seen(/data: 100 deaths of storage under \d+ writes, 0 lost/).length).toBe(1);
    await machine.quit();
    await check(direct, disk, 'killed');
  }, 600_000);

  it('is made at the first boot that needs it, and keeps over boots what was written', async ({ direct }) => {
    const disk = await freshDisk(direct, 'kept');
    for (const earlier of [0, 1, 2]) {
      const { machine, ...found } = await boot(direct, disk);
      expect(found.earlier).toBe(earlier);
      const made = machine.console.seen(/data: made a file system/);
      expect(made.length).toBe(earlier === 0 ? 1 : 0);
      await machine.quit();
      await check(direct, disk, `boot-${earlier}`);
    }
  }, 600_000);

  it('is left as it is when it is damaged, and the root is served', async ({ direct }) => {
    const disk = await freshDisk(direct, 'damaged');
    const { machine } = await boot(direct, disk);
    await machine.quit();
    const { offsetBytes, lengthBytes } = await disk.partition('DATA');
    // One bit of the superblock, which lies 1024 bytes behind the start.
    await disk.flipBit(offsetBytes + 1024 + 4);
    const before = await disk.read(offsetBytes, lengthBytes);
    const bundle = await suiteBundle('data', 'dev', ['without-data']);
    const second = await direct.start({ bundle, disk, expected: onPurpose });
    await tapOf(second, patience);
    expect(second.console.seen(/data: not mounted: /).length).toBe(1);
    await second.quit();
    expect((await disk.read(offsetBytes, lengthBytes)).equals(before)).toBe(true);
  }, 600_000);

  it('comes up whole after a power cut at any of its writes, here a sample', async ({ direct }) => {
    const disk = await freshDisk(direct, 'recorded');
    const first = await boot(direct, disk);
    await first.machine.quit();
    const before = await Disk.over(disk, direct.folder, 'before');
    const log = inFolder(direct, 'writes.log');
    const second = await boot(direct, before, log);
    await second.machine.quit();
    const writes = changes(await readWriteLog(log, before));
    expect(writes.length).toBeGreaterThan(500);
    for (const part of [0.13, 0.37, 0.61, 0.99]) {
      const count = Math.floor(writes.length * part);
      const cut = await Disk.over(disk, direct.folder, `cut-${count}`);
      await cut.apply(writes.slice(0, count));
      await check(direct, cut, `cut-${count}`);
      const { machine, earlier } = await boot(direct, cut);
      // The file of the first boot was acknowledged; that of the second may or may not have been.
      expect(earlier, `after ${count} writes`).toBeGreaterThanOrEqual(1);
      await machine.quit();
      await check(direct, cut, `cut-${count}-booted`);
    }
  }, 600_000);
});

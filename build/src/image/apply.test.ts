// SPDX-License-Identifier: PMPL-1.0-or-later
import { createHash } from 'node:crypto';
import { type FileHandle, mkdtemp, open, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { UserError } from '../errors.ts';
import { fsckFat } from '../toolchain/mkfs-fat.ts';
import { listFiles, mtype } from '../toolchain/mtools.ts';
import { verifyTable } from '../toolchain/sgdisk.ts';
import { type ApplyRequest, applyImage } from './apply.ts';
import { fatEpoch, makeFat } from './filesystems/fat.ts';
import { planImage } from './plan.ts';

const MIB = 2 ** 20;
const plan = planImage({
  seed: 'test',
  slots: 'A',
  partitions: [
    {
      order: 10,
      name: 'esp',
      label: 'EFI-SYSTEM',
      type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
      size_bytes: 40 * MIB,
      content: 'fat',
      where: 'esp',
    },
    {
      order: 20,
      name: 'root-a',
      label: 'ROOT-A',
      type: '5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6',
      size_bytes: 8 * MIB,
      content: 'slot',
      slot: 'A',
      slot_state: { priority: 1, tries: 3, successful: false },
      where: 'a',
    },
    {
      order: 90,
      name: 'data',
      label: 'DATA',
      type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
      size_bytes: 4 * MIB,
      content: 'empty',
      where: 'd',
    },
  ],
});

let folder = '';
let request: ApplyRequest;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'apply-'));
  const loader = join(folder, 'loader.efi');
  const slot = join(folder, 'slot.img');
  await writeFile(loader, Buffer.alloc(70_000, 7));
  await writeFile(slot, Buffer.alloc(5000, 9));
  await truncate(slot, 8 * MIB);
  const handle = await open(slot, 'r+');
  await handle.write('the trailer', 8 * MIB - 65_536);
  await handle.close();
  request = {
    plan,
    contents: {
      esp: { kind: 'fat', files: [{ path: 'EFI/BOOT/BOOTX64.EFI', source: loader }] },
      'root-a': { kind: 'slot', image: slot },
    },
    out: join(folder, 'disk.raw'),
    source_date_epoch_seconds: 1_700_000_001,
  };
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

const leftovers = async () => (await readdir(folder)).filter((name) => !['loader.efi', 'slot.img', 'disk.raw'].includes(name));

describe('an image', () => {
  test('is whole for the stock tools and holds what was given', async () => {
    const done = await applyImage(request);
    expect(await verifyTable(done.path)).toEqual([]);
    const raw = await readFile(done.path);
    expect(raw.length).toBe(plan.size_bytes);
    expect(done.sha256).toBe(createHash('sha256').update(raw).digest('hex'));

    const [esp, root] = plan.partitions;
    const fat = join(folder, 'esp.img');
    await writeFile(fat, raw.subarray(esp?.start_bytes, esp?.end_bytes));
    expect(await fsckFat(fat)).toEqual([]);
    expect(await listFiles(fat)).toEqual(['/EFI/BOOT/BOOTX64.EFI']);
    expect(Buffer.from(await mtype(fat, '/EFI/BOOT/BOOTX64.EFI')).equals(Buffer.alloc(70_000, 7))).toBe(true);
    expect(raw.subarray(root?.start_bytes, root?.end_bytes).equals(await readFile(join(folder, 'slot.img')))).toBe(true);
  });

  test('is sparse', async () => {
    const { path } = await applyImage(request);
    const { blocks, size } = await stat(path);
    expect(blocks * 512).toBeLessThan(size / 10);
  });

  test('is the same with other file times, time zone and personal mtools settings', async () => {
    const first = await applyImage(request);
    await utimes(join(folder, 'loader.efi'), 1_000_000_000, 1_000_000_000);
    vi.stubEnv('TZ', 'Pacific/Kiritimati');
    const second = await applyImage({ ...request, out: join(folder, 'disk.raw') });
    vi.unstubAllEnvs();
    expect(second.sha256).toBe(first.sha256);
  });

  test('leaves only itself', async () => {
    await applyImage(request);
    expect(await leftovers()).toEqual([]);
  });
});

describe('refused:', () => {
  test('a slot image that is not as long as its partition', async () => {
    await truncate(join(folder, 'slot.img'), 8 * MIB - 4096);
    await expect(applyImage(request)).rejects.toMatchObject({ code: 'image/slot-size' });
  });

  test('a loader that does not fit in the ESP', async () => {
    await truncate(join(folder, 'loader.efi'), 64 * MIB);
    await expect(applyImage(request)).rejects.toMatchObject({ code: 'image/too-small' });
  });

  test('a path that leaves the ESP', async () => {
    const files = [{ path: '../BOOTX64.EFI', source: join(folder, 'loader.efi') }];
    const out = join(folder, 'esp.img');
    const fat = { out, files, size_bytes: 40 * MIB, sector_bytes: 512, label: 'ESP', seed: 's', source_date_epoch_seconds: 0 };
    await expect(makeFat(fat)).rejects.toMatchObject({ code: 'image/esp-path' });
  });

  test('a full disk: nothing partial is left, and the image before is untouched', async () => {
    await writeFile(request.out, 'the image before');
    const probe = await open(join(folder, 'slot.img'), 'r');
    const prototype = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    const write = prototype.write;
    let writes = 0;
    vi.spyOn(prototype, 'write').mockImplementation(function (this: FileHandle, ...args: unknown[]) {
      writes += 1;
      if (writes > 3) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      return Reflect.apply(write, this, args);
    } as never);
    const error = await applyImage(request).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ code: 'machine/disk-full', where: folder });
    expect(await leftovers()).toEqual([]);
    expect(await readFile(request.out, 'utf8')).toBe('the image before');
  });
});

test("FAT's time is even and not before 1980", () => {
  expect(fatEpoch(1_700_000_001)).toBe(1_700_000_000);
  expect(fatEpoch(0)).toBe(315_532_800);
});

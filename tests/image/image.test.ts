// SPDX-License-Identifier: PMPL-1.0-or-later
// The image that `just build-dev` made, judged by tools that we did not write: sgdisk, fsck.fat, fsck.erofs, veritysetup, sbverify, ostree,
// qemu-img, virt-xml-validate. The tree that went in must come out of each of them.
import { createPrivateKey } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  artifactsOf,
  checkQcow2,
  decodeSlotState,
  differenceOf,
  extractErofs,
  extractPartition,
  keyFiles,
  keyFolder,
  partitionInfo,
  readImageTable,
  run,
  slotBuild,
  validateDomain,
  verifyImage,
  verifyVerity,
} from '../../build/src/testing.ts';
import { root } from '../support/root.ts';
import { expectTree, type TreeEntry } from './tree.ts';

const { folder, image } = artifactsOf(root, 'dev');
const slotTool = join(folder, '.build', 'tools', 'slot');
const keys = keyFiles(keyFolder());
let scratch = '';
let slotImage = '';
let tree: readonly TreeEntry[];
let manifest: Manifest;

interface Manifest {
  readonly version: string;
  readonly unreleased: boolean;
  readonly source_date_epoch_seconds: number;
  readonly disk: { readonly partitions: readonly Record<string, string | number | null>[] };
  readonly slot: {
    readonly commit: string;
    readonly refs: readonly string[];
    readonly rollback_index: number;
    readonly verity: { readonly root: string; readonly hash_offset_bytes: number };
    readonly partition_bytes: number;
  };
}

beforeAll(async () => {
  expect(existsSync(image), 'run `just build-dev` first (`just test` does)').toBe(true);
  scratch = await mkdtemp(join(tmpdir(), 'fr-image-'));
  slotImage = join(scratch, 'slot.img');
  const { table } = await readImageTable(image);
  const entry = table.entries.find((one) => one.name === 'ROOT-A');
  if (entry === undefined) throw new Error('the image has no ROOT-A');
  await extractPartition(image, entry, slotImage);
  tree = (JSON.parse(await readFile(join(folder, '.build', 'tree.json'), 'utf8')) as { entries: TreeEntry[] }).entries;
  manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as Manifest;
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

test('every check of `just verify` is good', async () => {
  const work = await mkdtemp(join(scratch, 'verify-'));
  const checks = await verifyImage({ image, scratch: work, slot_tool: slotTool, certificate: keys.loader.certificate });
  expect(checks.filter((check) => check.problems.length > 0)).toEqual([]);
  const names = checks.map((check) => check.name);
  for (const name of ['partition table', 'ESP', "loader's signature", 'ROOT-A: hash tree', 'digest of flatracoon-os.raw'])
    expect(names).toContain(name);
});

describe('the partition table', () => {
  test('is, for sgdisk, the plan of the manifest', async () => {
    for (const partition of manifest.disk.partitions) {
      const info = await partitionInfo(image, Number(partition.number));
      expect(info['Partition name']).toBe(`'${partition.label}'`);
      expect(info['Partition GUID code']).toContain(String(partition.type).toUpperCase());
      expect(info['Partition unique GUID']).toBe(String(partition.guid).toUpperCase());
      expect(info['First sector']).toContain(`${partition.first_lba} `);
      expect(info['Last sector']).toContain(`${partition.last_lba} `);
      expect(info['Attribute flags']).toBe(String(partition.attributes).toUpperCase());
    }
  });

  test('of a fresh image lets the loader try slot A, and never B', async () => {
    const { table } = await readImageTable(image);
    const state = (name: string) => decodeSlotState(table.entries.find((entry) => entry.name === name)?.attributes ?? 0n);
    expect(state('ROOT-A')).toMatchObject({ successful: false });
    expect(state('ROOT-A').priority).toBeGreaterThan(0);
    expect(state('ROOT-A').tries).toBeGreaterThan(0);
    expect(state('ROOT-B')).toEqual({ priority: 0, tries: 0, successful: false });
  });
});

/** dump.erofs tells where an inode is, but not its set-user bit: that is read from the inode itself (i_mode, 4 bytes from its start). */
async function modeOnDisk(path: string): Promise<number> {
  const { stdout } = await run('dump.erofs', [`--path=${path}`, slotImage]);
  const number = Number(/NID: (\d+)/.exec(stdout)?.[1]);
  const file = await open(slotImage, 'r');
  try {
    const bytes = async (at: number) => (await file.read(Buffer.alloc(4), 0, 4, at)).buffer;
    const firstBlock = (await bytes(1024 + 40)).readUInt32LE();
    return (await bytes(firstBlock * 4096 + number * 32 + 4)).readUInt16LE();
  } finally {
    await file.close();
  }
}

describe('the OS tree', () => {
  const special = (mode = '0') => (Number.parseInt(mode, 8) & 0o6000) !== 0;
  let setUser: readonly TreeEntry[];
  beforeAll(() => {
    setUser = tree.filter(({ kind, mode }) => kind === 'file' && special(mode));
    expect(setUser.map(({ path }) => path)).toContain('/usr/bin/mount');
  });

  test('comes out of the EROFS image as it went in', async () => {
    const out = join(scratch, 'erofs');
    await extractErofs(slotImage, out);
    await expectTree(out, tree, { owners: process.getuid?.() === 0 });
    for (const { path, mode = '' } of setUser) expect((await modeOnDisk(path)) & 0o7777).toBe(Number.parseInt(mode, 8));
  });

  test('comes out of the OSTree repository as it went in, by the commit that the slot has', async () => {
    const repo = join(scratch, 'repo');
    const spec = join(scratch, 'spec.json');
    const { slot, source_date_epoch_seconds } = manifest;
    const facts = {
      version: manifest.version,
      refs: slot.refs,
      rollback_index: slot.rollback_index,
      epoch: source_date_epoch_seconds,
    };
    await writeFile(
      spec,
      JSON.stringify({
        ...facts,
        uuid_seed: 'flatracoon-os/dev',
        partition_bytes: slot.partition_bytes,
        unreleased: manifest.unreleased,
      }),
    );
    const report = await slotBuild(slotTool, {
      tree: join(folder, '.build', 'tree.json'),
      spec,
      out: join(scratch, 'again.img'),
      report: join(scratch, 'again.json'),
      key: keys.ostree,
      repo,
    });
    expect(report.commit).toBe(slot.commit);

    const [ref = ''] = slot.refs;
    const ostree = async (...args: string[]) => (await run('ostree', [`--repo=${repo}`, ...args])).stdout;
    expect(await ostree('fsck')).toContain('no errors found');
    expect((await ostree('rev-parse', ref)).trim()).toBe(slot.commit);
    expect(await ostree('show', '--print-metadata-key=version', ref)).toContain(manifest.version);
    expect(await ostree('show', '--print-detached-metadata-key=ostree.sign.ed25519', ref)).toMatch(/^\[/u);
    const listed = (await ostree('ls', '-R', ref, '/'))
      .split('\n')
      .map((line) => line.split(' ').find((word) => word.startsWith('/')));
    const expected = tree.filter((entry) => !['char', 'block', 'fifo'].includes(entry.kind)).map((entry) => entry.path);
    expect(new Set(listed.filter((path) => path !== undefined))).toEqual(new Set(expected));
    for (const { path, mode } of setUser) expect(await ostree('ls', ref, path)).toMatch(new RegExp(`^-0${mode} 0 \\d+ `));
    await ostree('checkout', '--user-mode', ref, join(scratch, 'checkout'));
    await expectTree(join(scratch, 'checkout'), tree, { owners: false });
  });
});

test('one flipped bit of the slot is found by veritysetup', async () => {
  const { root: root_hex, hash_offset_bytes } = manifest.slot.verity;
  const place = { file: slotImage, hash_offset_bytes, root_hex };
  expect(await verifyVerity(place)).toEqual([]);
  const file = await open(slotImage, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, 5000);
    await file.write(Buffer.from([byte.readUInt8(0) ^ 1]), 0, 1, 5000);
    expect(await verifyVerity(place)).not.toEqual([]);
    await file.write(byte, 0, 1, 5000);
  } finally {
    await file.close();
  }
  expect(await verifyVerity(place)).toEqual([]);
});

describe('the wrappings', () => {
  test('qcow2 is whole and shows the same disk', async () => {
    const qcow2 = join(folder, 'flatracoon-os.qcow2');
    expect(await checkQcow2(qcow2)).toEqual([]);
    expect(await differenceOf(image, qcow2)).toBeUndefined();
  });

  test('libvirt takes the domain templates', async () => {
    const domains = (await readdir(folder)).filter((name) => /^flatracoon-os(\.secure-boot)?\.libvirt\.xml$/u.test(name));
    expect(domains).toHaveLength(2);
    for (const name of domains) expect(await validateDomain(join(folder, name))).toEqual([]);
  });
});

test('the image carries public keys only', async () => {
  const secrets: Buffer[] = [];
  const seed = createPrivateKey(await readFile(keys.ostree))
    .export({ type: 'pkcs8', format: 'der' })
    .subarray(-32);
  secrets.push(seed);
  // As text too: the first line of each file's base64.
  for (const file of [keys.ostree, keys.loader.key, keys.exchange.key, keys.platform.key]) {
    const line = (await readFile(file, 'utf8')).split('\n')[1] ?? '';
    expect(line.length).toBeGreaterThan(40);
    secrets.push(Buffer.from(line));
  }
  for (const pair of [keys.loader, keys.exchange, keys.platform]) {
    const { d = '' } = createPrivateKey(await readFile(pair.key)).export({ format: 'jwk' });
    secrets.push(Buffer.from(d, 'base64url').subarray(0, 32));
  }
  const bytes = await readFile(image);
  const { commit_key } = (
    JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as { signed_by: { commit_key: string } }
  ).signed_by;
  expect(bytes.includes(Buffer.from(commit_key, 'hex')), 'the public key is in the loader').toBe(true);
  for (const secret of secrets) expect(bytes.includes(secret)).toBe(false);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// A tree with everything that a tree may hold, through the slot tool: what erofs-utils, veritysetup and ostree read is what was described.
// The OS tree of a build has few kinds of entries; a base system has all of them.
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  artifactsOf,
  extractErofs,
  fsckErofs,
  keyFiles,
  keyFolder,
  run,
  slotBuild,
  slotExtract,
  verifyVerity,
} from '../../build/src/testing.ts';
import { root } from '../support/root.ts';
import { expectTree, type TreeEntry } from './tree.ts';

const slotTool = join(artifactsOf(root, 'dev').folder, '.build', 'tools', 'slot');
const ref = 'flatracoon-os/x86_64/test';
let scratch = '';
let tree: (TreeEntry & { readonly xattrs?: Record<string, string>; readonly major?: number; readonly minor?: number })[] = [];
let slot = '';
let repo = '';
let report: Awaited<ReturnType<typeof slotBuild>>;

beforeAll(async () => {
  expect(existsSync(slotTool), 'run `just build-dev` first (`just test` does)').toBe(true);
  scratch = await mkdtemp(join(tmpdir(), 'fr-tree-'));
  const source = async (name: string, bytes: Buffer): Promise<string> => {
    await writeFile(join(scratch, name), bytes);
    return join(scratch, name);
  };
  const plain = { uid: 0, gid: 0, xattrs: {} };
  const directory = (path: string, mode = '0755') => ({ path, kind: 'directory', mode, ...plain }) as const;
  const file = async (path: string, bytes: Buffer, change: object = {}) =>
    ({ path, kind: 'file', mode: '0644', ...plain, source: await source(path.replaceAll('/', '_'), bytes), ...change }) as const;
  // A file of many blocks that are all different, one of exactly a block, one short of it, an empty one.
  const large = Buffer.alloc(3_000_001, 7);
  for (let at = 0; at < large.length - 4; at += 4096) large.writeUInt32LE(at, at);
  tree = [
    directory('/'),
    directory('/dev'),
    { path: '/dev/console', kind: 'char', mode: '0600', uid: 0, gid: 5, major: 5, minor: 1 },
    { path: '/dev/disk', kind: 'block', mode: '0660', uid: 0, gid: 6, major: 259, minor: 1_048_575 },
    { path: '/dev/pipe', kind: 'fifo', mode: '0622', uid: 0, gid: 0 },
    directory('/etc'),
    await file('/etc/empty', Buffer.alloc(0)),
    await file('/etc/shadow', Buffer.from('root:*\n'), { mode: '0640', gid: 42 }),
    { path: '/etc/to-shadow', kind: 'symlink', mode: '0777', uid: 0, gid: 0, target: 'shadow' },
    directory('/tmp', '1777'),
    directory('/usr'),
    await file('/usr/block', Buffer.alloc(4096, 1)),
    await file('/usr/large', large),
    { path: '/usr/large-too', kind: 'hardlink', target: '/usr/large' },
    await file('/usr/nearly', Buffer.alloc(4095, 2)),
    await file('/usr/su', Buffer.from('#!'), {
      mode: '4755',
      uid: 1000,
      gid: 100_000,
      xattrs: { 'user.note': 'aGk=', 'user.zero': '' },
    }),
    directory('/usr/ümlaut name'),
    ...(await Promise.all(
      Array.from({ length: 300 }, (_, n) => file(`/usr/ümlaut name/${String(n).padStart(3, '0')}`, Buffer.from(`${n}`))),
    )),
  ];
  await writeFile(join(scratch, 'tree.json'), JSON.stringify({ entries: tree }));
  const spec = {
    version: '1.0.0',
    refs: [ref],
    rollback_index: 1,
    epoch: 1_700_000_000,
    uuid_seed: 'x',
    partition_bytes: 32 * 2 ** 20,
    unreleased: true,
  };
  await writeFile(join(scratch, 'spec.json'), JSON.stringify(spec));
  slot = join(scratch, 'slot.img');
  repo = join(scratch, 'repo');
  const files = { tree: join(scratch, 'tree.json'), spec: join(scratch, 'spec.json'), report: join(scratch, 'slot.json') };
  report = await slotBuild(slotTool, { ...files, out: slot, key: keyFiles(keyFolder()).ostree, repo });
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** fsck.erofs sets the owner after the mode, which clears the bit; ostree's user mode drops it. */
function withoutSetUserId(entries: typeof tree): typeof tree {
  return entries.map((entry) => (entry.mode === '4755' ? { ...entry, mode: '0755' } : entry));
}

test('fsck.erofs finds nothing and takes out what went in, modes and owners included', async () => {
  expect(await fsckErofs(slot)).toEqual([]);
  const out = join(scratch, 'erofs');
  await extractErofs(slot, out);
  await expectTree(out, withoutSetUserId(tree), { owners: process.getuid?.() === 0 });
});

test('veritysetup takes every block of it', async () => {
  const { root: root_hex, hash_offset_bytes } = report.verity;
  expect(await verifyVerity({ file: slot, hash_offset_bytes, root_hex })).toEqual([]);
});

test('dump.erofs sees the device nodes and the second name of a file', async () => {
  const dump = async (path: string) => (await run('dump.erofs', [`--path=${path}`, slot])).stdout;
  expect(await dump('/usr/large')).toMatch(/Links: 2/u);
  expect(await dump('/dev/console')).toMatch(/char dev/u);
  expect(await dump('/dev/disk')).toMatch(/block dev/u);
  expect(await dump('/dev/pipe')).toMatch(/fifo/iu);
});

test('ostree reads the same from the repository, attributes included', async () => {
  const ostree = async (...args: string[]) => (await run('ostree', [`--repo=${repo}`, ...args])).stdout;
  expect(await ostree('fsck')).toContain('no errors found');
  const line = (await ostree('ls', '-X', ref, '/usr/su')).trim();
  expect(line).toMatch(/^-04755 1000 100000 +2 /u);
  expect(line).toContain('user.note');
  expect(line).toContain('byte 0x68, 0x69');
  await ostree('checkout', '--user-mode', ref, join(scratch, 'checkout'));
  await expectTree(join(scratch, 'checkout'), withoutSetUserId(tree), { owners: false });
});

test('our own reader describes the tree as it was described', async () => {
  const out = join(scratch, 'ours');
  await slotExtract(slotTool, slot, out);
  const { entries } = JSON.parse(await readFile(join(out, 'tree.json'), 'utf8')) as { entries: Record<string, unknown>[] };
  const comparable = (entry: Record<string, unknown>) => {
    const { source: _, xattrs = {}, ...rest } = entry;
    return { ...rest, xattrs };
  };
  expect(entries.map(comparable)).toEqual(tree.map((entry) => comparable({ ...entry })));
});

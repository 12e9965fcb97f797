// SPDX-License-Identifier: PMPL-1.0-or-later
import { chmod, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { canonical, Digests } from './digests.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'digests-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));
const open = () => Digests.open(join(folder, 'kept.json'));

test('a change of the same length and time is seen', async () => {
  const file = join(folder, 'file');
  const time = new Date('2026-01-01');
  await writeFile(file, 'aaaa');
  await utimes(file, time, time);
  const digests = await open();
  const before = await digests.ofFile(file);
  await writeFile(file, 'bbbb');
  await utimes(file, time, time);
  expect(await digests.ofFile(file)).not.toBe(before);
});

test('what was remembered is used by the next run, and a missing file has no digest', async () => {
  const file = join(folder, 'file');
  await writeFile(file, 'text');
  const first = await open();
  await first.known(file, 'remembered');
  await first.save();
  expect(await (await open()).ofFile(file)).toBe('remembered');
  expect(await (await open()).ofFile(join(folder, 'nothing'))).toBeUndefined();
});

test('a damaged memory is an empty one', async () => {
  await writeFile(join(folder, 'kept.json'), '[[');
  await writeFile(join(folder, 'file'), 'text');
  expect(await (await open()).ofFile(join(folder, 'file'))).toHaveLength(64);
});

test('a link is its target text, and the ignored are left out of a tree', async () => {
  await symlink('nowhere', join(folder, 'link'));
  await writeFile(join(folder, 'skip'), '');
  await chmod(join(folder, 'skip'), 0o755);
  const tree = await (await open()).ofTree(folder, ['skip']);
  expect(Object.keys(tree ?? {})).toEqual(['link']);
});

test('equal values are equal texts whatever the order of their keys', () => {
  expect(canonical({ b: 1, a: [true, null] })).toBe('{"a":[true,null],"b":1}');
});

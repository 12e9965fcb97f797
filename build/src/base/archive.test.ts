// SPDX-License-Identifier: PMPL-1.0-or-later
// Locking, fetching and unpacking against an archive of two packages that is made here: `tool` depends on `library`, and `common` is supplied.
import { createHash } from 'node:crypto';
import { chmod, link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Base } from '../config/types.ts';
import { UserError } from '../errors.ts';
import { run } from '../toolchain/exec.ts';
import { fetchPackages, packageFile } from './fetch.ts';
import { type LockedPackage, makeLock, parseLock } from './lock.ts';
import { contentFile, unpack } from './unpack.ts';

let folder = '';
let sources = '';
const signal = new AbortController().signal;
const suite = 'testing-suite';
const none = { users: [], links: [], copies: [], directories: [] };
const base: Base = {
  source: 'Debian',
  suite,
  groups: { core: { packages: ['library'], ...none }, tests: { packages: ['tool'], ...none } },
  profiles: { dev: ['core'], prod: ['core'] },
  supplied: [{ package: 'common', because: 'is not needed here' }],
  left_out: [],
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flatracoon-archive-'));
  const archive = join(folder, 'archive');
  await mkdir(archive);
  await packed(archive, 'library', '2:1.0~rc1-3', 'common');
  await packed(archive, 'tool', '1.2+b1', 'library, common');
  const index = await Promise.all((await readdir(archive)).sort().map((name) => paragraph(archive, name)));
  await writeFile(join(archive, 'Packages'), index.join('\n'));
  const digest = sha256(Buffer.from(index.join('\n')));
  const size = Buffer.byteLength(index.join('\n'));
  const release = `Origin: Debian\nCodename: ${suite}\nArchitectures: amd64\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n ${digest} ${size} Packages\n`;
  await writeFile(join(archive, 'Release'), release);
  sources = join(folder, 'sources.list');
  await writeFile(sources, `deb [trusted=yes] file:${archive} ./\n`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A package with a folder, a file with two names and a set-user bit, and a symbolic link. */
async function packed(archive: string, name: string, version: string, depends: string): Promise<void> {
  const tree = join(folder, name);
  await mkdir(join(tree, 'DEBIAN'), { recursive: true });
  await mkdir(join(tree, 'bin'), { recursive: true });
  const control = { Package: name, Version: version, Architecture: 'amd64', Depends: depends, Maintainer: 'a', Description: 'b' };
  const lines = Object.entries(control).map(([key, value]) => `${key}: ${value}\n`);
  await writeFile(join(tree, 'DEBIAN/control'), lines.join(''));
  await writeFile(join(tree, 'bin', name), `contents of ${name}`);
  await chmod(join(tree, 'bin', name), 0o4755);
  await link(join(tree, 'bin', name), join(tree, 'bin', `${name}-too`));
  await symlink(name, join(tree, 'bin', `${name}-link`));
  await run('dpkg-deb', ['--root-owner-group', '--build', tree, join(archive, `${name}.deb`)]);
}

async function paragraph(archive: string, name: string): Promise<string> {
  const bytes = await readFile(join(archive, name));
  const { stdout } = await run('dpkg-deb', ['--field', join(archive, name)]);
  return `${stdout.trim()}\nFilename: ./${name}\nSize: ${bytes.length}\nSHA256: ${sha256(bytes)}\n`;
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

async function locked(): Promise<Record<string, LockedPackage[]>> {
  const root = await mkdtemp(join(folder, 'root-'));
  await mkdir(join(root, 'configs'));
  const made = await makeLock(root, base, { folder: await mkdtemp(join(folder, 'apt-')), sources, signal });
  expect(parseLock(await readFile(join(root, 'configs/base.lock.json'), 'utf8'))).toEqual(made);
  return made.groups;
}

async function fetched(packages: readonly LockedPackage[], cache: string): Promise<number> {
  return fetchPackages(packages, { cache, suite, sources, signal, onLine: () => undefined });
}

const refusal = (promise: Promise<unknown>): Promise<UserError> =>
  promise.then(
    () => expect.unreachable('it was accepted'),
    (error: unknown) => {
      if (error instanceof UserError) return error;
      throw error;
    },
  );

test('the lock has dependencies and not what is supplied; a later group holds what the first lacks', async () => {
  const { core, tests } = await locked();
  expect(core).toMatchObject([{ name: 'library', version: '2:1.0~rc1-3', architecture: 'amd64' }]);
  expect(tests).toMatchObject([{ name: 'tool', version: '1.2+b1' }]);
});

test('a package that the archive does not have is refused with the words of apt', async () => {
  const asked = { ...base, groups: { core: { packages: ['no-such-thing'], ...none } } };
  const error = await refusal(makeLock(folder, asked, { folder: await mkdtemp(join(folder, 'apt-')), sources, signal }));
  expect(error.code).toBe('base/unsolvable');
  expect(error.hint).toContain('no-such-thing');
});

test('packages are fetched once, by digest', async () => {
  const { core = [], tests = [] } = await locked();
  const cache = join(folder, 'cache');
  expect(await fetched([...core, ...tests], cache)).toBe(2);
  for (const one of [...core, ...tests]) expect(sha256(await readFile(packageFile(cache, one)))).toBe(one.sha256);
  expect(await fetched([...core, ...tests], cache)).toBe(0);
  expect((await readdir(cache)).filter((name) => !name.endsWith('.deb'))).toEqual([]);
});

test('a version that the archive has dropped is refused, with what to do', async () => {
  const { core: [one] = [] } = await locked();
  const error = await refusal(fetched([{ ...one!, version: '2:0.9', sha256: 'a'.repeat(64) }], join(folder, 'cache-gone')));
  expect(error.code).toBe('base/package-gone');
  expect(error.message).toContain('do not have library 2:0.9');
  expect(error.hint).toContain('just lock-base');
});

test('other bytes under a locked version are refused and not kept under its name', async () => {
  const { core: [one] = [] } = await locked();
  const other = { ...one!, sha256: 'b'.repeat(64) };
  const cache = join(folder, 'cache-differs');
  const error = await refusal(fetched([other], cache));
  expect(error.code).toBe('base/package-differs');
  expect(await readdir(cache)).not.toContain(`${other.sha256}.deb`);
});

test('a package is unpacked with modes, owners and links, without its names becoming paths here', async () => {
  const { tests: [one] = [] } = await locked();
  const cache = join(folder, 'cache-unpack');
  await fetched([one!], cache);
  const into = join(folder, 'unpacked', 'tool');
  const entries = await unpack(packageFile(cache, one!), into, signal);
  const file = entries.find(({ kind }) => kind === 'file');
  const names = entries.map(({ path, kind, mode, uid, target = '' }) =>
    `${kind} ${path} ${kind === 'hardlink' ? '' : `${mode} ${uid} `}${target}`.trim(),
  );
  expect(names.sort()).toEqual(
    [
      'directory / 0755 0',
      'directory /bin 0755 0',
      `file ${file?.path} 4755 0`,
      `hardlink ${file?.path === '/bin/tool' ? '/bin/tool-too' : '/bin/tool'} ${file?.path}`,
      'symlink /bin/tool-link 0777 0 tool',
    ].sort(),
  );
  expect(await readFile(contentFile(into, file!), 'utf8')).toBe('contents of tool');
  expect(await unpack('a file that is not there', into, signal)).toEqual(entries);
  expect((await readdir(dirname(into))).length).toBe(1);
});

test('an archive that is cut short is refused', async () => {
  const whole = await readFile(join(folder, 'archive/tool.deb'));
  const cut = join(folder, 'cut.deb');
  await writeFile(cut, whole.subarray(0, whole.length - 40));
  const error = await refusal(unpack(cut, join(folder, 'unpacked', 'cut'), signal));
  expect(error.code).toBe('base/package-unreadable');
  expect(error.where).toBe(cut);
});

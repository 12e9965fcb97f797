// SPDX-License-Identifier: PMPL-1.0-or-later
// The Linux userland of the built image: whole without what was left out, and set up as the packages' scripts would have done.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { artifactsOf, run } from '../../build/src/testing.ts';
import { root } from '../support/root.ts';
import type { TreeEntry } from './tree.ts';

let tree: Map<string, TreeEntry>;

async function read(variant?: string): Promise<void> {
  const treeFile = join(artifactsOf(root, 'dev', variant).folder, '.build', 'tree.json');
  expect(
    existsSync(treeFile),
    `run \`just build-dev${variant === undefined ? '' : ` --variant ${variant}`}\` first (\`just test\` does)`,
  ).toBe(true);
  const { entries } = JSON.parse(await readFile(treeFile, 'utf8')) as { entries: TreeEntry[] };
  tree = new Map(entries.map((entry) => [entry.path, entry]));
}

/** What a path of the image leads to, by its links; undefined for nothing. */
function resolve(path: string, depth = 0): TreeEntry | undefined {
  let at = '/';
  for (const [n, part] of path.split('/').filter(Boolean).entries()) {
    const here = tree.get(join(at, part));
    if (here === undefined || depth > 20) return undefined;
    const rest = path
      .split('/')
      .filter(Boolean)
      .slice(n + 1);
    if (here.kind === 'symlink')
      return resolve(normalize(join('/', here.target!.startsWith('/') ? '' : at, here.target!, ...rest)), depth + 1);
    at = join(at, part);
  }
  return tree.get(at);
}

const text = (path: string) => readFile(resolve(path)?.source ?? '', 'utf8');

/** Where glibc of Debian looks when it has no cache. */
const libraryFolders = ['/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu', '/lib', '/usr/lib'];

describe.each([
  { image: 'usual', variant: undefined, groups: ['core'] },
  { image: 'linux-tests', variant: 'linux-tests', groups: ['core', 'tests'] },
])('the $image image', ({ variant, groups }) => {
  beforeAll(() => read(variant));

  test('every library that a program needs is where the loader looks without a cache', async () => {
    const files = [...tree.values()].filter(({ kind, path }) => kind === 'file' && /^\/usr\/(s?bin|lib|libexec)\//.test(path));
    const byHost = new Map(files.map(({ path, source = '' }) => [source, path]));
    const { stdout } = await run('readelf', ['--dynamic', '--wide', ...byHost.keys()], { ok: 'any' });
    const missing: string[] = [];
    let needed = 0;
    for (const part of stdout.split(/^File: /m).slice(1)) {
      const path = byHost.get(part.slice(0, part.indexOf('\n'))) ?? '?';
      const own = [...part.matchAll(/\((?:RUNPATH|RPATH)\).*\[(.*)\]/g)].flatMap((match) => (match[1] ?? '').split(':'));
      const folders = [...own.map((one) => one.replace('$ORIGIN', dirname(path))), ...libraryFolders];
      for (const [, name = ''] of part.matchAll(/\(NEEDED\).*\[(.*)\]/g)) {
        needed += 1;
        if (!folders.some((folder) => resolve(join(folder, name))?.kind === 'file')) missing.push(`${path} needs ${name}`);
      }
    }
    expect(missing).toEqual([]);
    expect(needed).toBeGreaterThan(200);
  });

  test('shells, awk and the loader are found by the paths that programs use', () => {
    for (const path of ['/bin/sh', '/bin/bash', '/usr/bin/awk', '/usr/bin/env', '/sbin/ip', '/lib64/ld-linux-x86-64.so.2'])
      expect(resolve(path)?.kind ?? 'nothing', path).toBe('file');
    expect(tree.get('/bin')).toMatchObject({ kind: 'symlink', target: 'usr/bin' });
  });

  test('every link to a place that the image itself fills leads somewhere', () => {
    const filled = [...tree.values()].filter(({ kind, path }) => kind === 'symlink' && path.startsWith('/usr/'));
    const dangling = filled.filter(({ path, target }) => !/^\/(proc|run|dev|sys)\b/.test(target!) && resolve(path) === undefined);
    expect(dangling.map(({ path, target }) => `${path} -> ${target}`)).toEqual([]);
  });

  test('accounts have no password, and each has its group', async () => {
    const users = (await text('/etc/passwd'))
      .trim()
      .split('\n')
      .map((line) => line.split(':'));
    const groups = new Set(
      (await text('/etc/group'))
        .trim()
        .split('\n')
        .map((line) => line.split(':')[2]),
    );
    expect(users[0]).toEqual(['root', 'x', '0', '0', 'root', '/root', '/bin/bash']);
    for (const [name = '', password, , group] of users) {
      expect(password, name).toBe('x');
      expect(groups.has(group), name).toBe(true);
    }
    const shadow = (await text('/etc/shadow'))
      .trim()
      .split('\n')
      .map((line) => line.split(':'));
    expect(shadow.map(([name]) => name)).toEqual(users.map(([name]) => name));
    for (const [name, password] of shadow) expect(password, name).toBe('*');
    expect(tree.get('/etc/shadow')).toMatchObject({ mode: '0640', uid: 0, gid: 42 });
  });

  test('certificates stand in one file, where OpenSSL looks', async () => {
    const { stdout } = await run('openssl', ['crl2pkcs7', '-nocrl', '-certfile', resolve('/usr/lib/ssl/cert.pem')?.source ?? '']);
    expect(stdout).toContain('BEGIN PKCS7');
    expect((await text('/etc/ssl/certs/ca-certificates.crt')).match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(100);
  });

  test('the image says which packages it holds, as they are locked, and has their terms of use', async () => {
    const { packages } = JSON.parse(await text('/usr/lib/flatracoon/packages.json')) as {
      packages: { name: string; sha256: string }[];
    };
    const lock = JSON.parse(await readFile(join(root, 'configs/base.lock.json'), 'utf8')) as {
      groups: Record<string, typeof packages>;
    };
    const locked = groups.flatMap((group) => lock.groups[group] ?? []).map(({ name, sha256 }) => `${name} ${sha256}`);
    expect(packages.map(({ name, sha256 }) => `${name} ${sha256}`)).toEqual(locked.sort());
    for (const { name } of packages) expect(resolve(`/usr/share/doc/${name}/copyright`)?.kind ?? 'nothing', name).toBe('file');
  });

  test('what tells an image from Debian is ours', async () => {
    expect(await text('/etc/os-release')).toContain('flatracoon');
  });
});

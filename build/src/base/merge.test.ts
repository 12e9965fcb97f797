// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { mergePackages, type TreeEntry, type Unpacked } from './merge.ts';
import type { Packed } from './unpack.ts';

const own = { mode: '0755', uid: 0, gid: 0 };
const folder = (path: string, mode = '0755'): Packed => ({ ...own, path, kind: 'directory', mode });
const file = (path: string, content = 1): Packed => ({ ...own, path, kind: 'file', content });
const link = (path: string, target: string): Packed => ({ ...own, path, kind: 'hardlink', target });
const packed = (name: string, ...entries: Packed[]): Unpacked => ({ name, folder: `/cache/${name}`, entries });
const without = (tree: readonly TreeEntry[]) =>
  tree.filter(({ kind, target }) => !(kind === 'symlink' && target?.startsWith('usr/')));
const lines = (tree: readonly TreeEntry[]) =>
  without(tree).map(({ path, kind, source, target }) => `${kind} ${path} ${source ?? target ?? ''}`.trim());

test('what packages put into /bin, /lib and /sbin goes below /usr, and links stand there', () => {
  const tree = mergePackages([packed('a', folder('/bin'), file('/bin/sh'), file('/lib64/ld.so', 2))], []);
  expect(lines(tree)).toEqual(['directory /usr/bin', 'file /usr/bin/sh /cache/a/1', 'file /usr/lib64/ld.so /cache/a/2']);
  expect(tree.filter(({ kind }) => kind === 'symlink').map(({ path, target }) => `${path} ${target}`)).toEqual([
    '/bin usr/bin',
    '/lib usr/lib',
    '/lib64 usr/lib64',
    '/sbin usr/sbin',
  ]);
});

test('the modes of folders are those of base-files, wherever it stands in the list', () => {
  const tree = mergePackages([packed('a', folder('/tmp')), packed('base-files', folder('/tmp', '1777'))], []);
  expect(tree.find(({ path }) => path === '/tmp')?.mode).toBe('1777');
});

test('the first name of a file is the file, also when its package says it the other way round', () => {
  const tree = mergePackages([packed('perl', file('/usr/bin/perl5', 7), link('/usr/bin/perl', '/usr/bin/perl5'))], []);
  expect(lines(tree)).toEqual(['file /usr/bin/perl /cache/perl/7', 'hardlink /usr/bin/perl5 /usr/bin/perl']);
});

test('what is left out goes with its folder, but for the names that are kept', () => {
  const one = packed(
    'a',
    folder('/usr/share/doc'),
    file('/usr/share/doc/a/NEWS'),
    file('/usr/share/doc/a/copyright'),
    file('/usr/share/docs'),
  );
  const tree = mergePackages([one], [{ path: '/usr/share/doc', except: ['copyright'] }]);
  expect(lines(tree)).toEqual(['file /usr/share/doc/a/copyright /cache/a/1', 'file /usr/share/docs /cache/a/1']);
});

test('a file whose first name is left out keeps its others, and a file that another package has too may be left out', () => {
  const one = packed('a', file('/a/x'), link('/b/x', '/a/x'), file('/a/z'));
  const tree = mergePackages([one, packed('b', file('/a/z'))], [{ path: '/a', except: [] }]);
  expect(lines(tree)).toEqual(['file /b/x /cache/a/1']);
});

test('a package that shares the folder of another keeps its link to it, where something there is kept', () => {
  const soft = (path: string, target: string): Packed => ({ ...own, path, kind: 'symlink', target });
  const doc = '/usr/share/doc';
  const one = packed(
    'a',
    file(`${doc}/a/copyright`),
    soft(`${doc}/b`, 'a'),
    soft(`${doc}/c`, 'nothing'),
    soft('/man/x', 'y'),
    file('/man/y'),
  );
  const tree = mergePackages(
    [one],
    [
      { path: doc, except: ['copyright'] },
      { path: '/man', except: [] },
    ],
  );
  expect(lines(tree)).toEqual([`file ${doc}/a/copyright /cache/a/1`, `symlink ${doc}/b a`]);
});

test('a file in two packages is refused, also when one says /bin and the other /usr/bin', () => {
  expect(() => mergePackages([packed('a', file('/bin/x')), packed('b', file('/usr/bin/x'))], [])).toThrow(
    '/usr/bin/x is in two packages: a and b',
  );
});

test('a hard link to a file that the package does not hold is refused', () => {
  expect(() => mergePackages([packed('a', link('/usr/bin/x', '/usr/bin/y'))], [])).toThrow(
    'a hard link /usr/bin/x to /usr/bin/y',
  );
});

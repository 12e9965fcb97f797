// SPDX-License-Identifier: PMPL-1.0-or-later
// What the packages' scripts would have done, since none is run: accounts, shells, the certificates in one file, and the links, copies
// and folders that configs/base.ncl declares. Needless: the loader's cache (all libraries lie where it looks anyway, which
// tests/image/base.test.ts proves), locales, and whatever starts services.
import { readFile } from 'node:fs/promises';
import type { Base, BaseGroup } from '../config/types.ts';
import { UserError } from '../errors.ts';
import { byPath, type TreeEntry } from './merge.ts';

export interface MadeFile {
  readonly path: string;
  readonly mode: string;
  readonly gid: number;
  readonly text: string;
}

/** The group `shadow` of Debian's list. */
const shadowGroup = 42;
/** The shells that a user may choose. */
const shells = ['/bin/sh', '/usr/bin/sh', '/bin/bash', '/usr/bin/bash', '/bin/dash', '/usr/bin/dash'];
const authorities = '/usr/share/ca-certificates/';

/** Files whose text follows from the packages. */
export async function madeFiles(tree: readonly TreeEntry[], groups: readonly BaseGroup[]): Promise<MadeFile[]> {
  const read = async (path: string) => readFile(sourceOf(tree, path), 'utf8');
  const users = groups.flatMap((group) => group.users);
  const passwd = withRootsShell(await read('/usr/share/base-passwd/passwd.master'));
  const group = await read('/usr/share/base-passwd/group.master');
  const account = (text: string, lines: readonly string[]) => text + lines.map((line) => `${line}\n`).join('');
  const accounts = account(
    passwd,
    users.map(({ name, id, home, shell }) => `${name}:x:${id}:${id}::${home}:${shell}`),
  );
  // No password fits `*`. The day of the last change is left empty: ageing is off.
  const locked = accounts.replaceAll(/^([^:]+):.*$/gm, '$1:*:::::::');
  const certificates = tree.filter(({ path, kind }) => path.startsWith(authorities) && path.endsWith('.crt') && kind === 'file');
  const texts = await Promise.all(certificates.map(({ path }) => read(path)));
  return [
    { path: '/etc/passwd', mode: '0644', gid: 0, text: accounts.replaceAll(/^([^:]+):\*:/gm, '$1:x:') },
    {
      path: '/etc/group',
      mode: '0644',
      gid: 0,
      text: account(
        group,
        users.map(({ name, id }) => `${name}:x:${id}:`),
      ),
    },
    { path: '/etc/shadow', mode: '0640', gid: shadowGroup, text: locked },
    { path: '/etc/shells', mode: '0644', gid: 0, text: shells.map((line) => `${line}\n`).join('') },
    {
      path: '/etc/ssl/certs/ca-certificates.crt',
      mode: '0644',
      gid: 0,
      text: texts.map((text) => (text.endsWith('\n') ? text : `${text}\n`)).join(''),
    },
  ];
}

/** The tree with what configs/base.ncl declares. Errors: `UserError` `base/copy-of-nothing`. */
export function withDeclared(tree: readonly TreeEntry[], groups: readonly BaseGroup[]): TreeEntry[] {
  const has = new Set(tree.map(({ path }) => path));
  const owner = { uid: 0, gid: 0 };
  const added = groups.flatMap((group): TreeEntry[] => [
    ...group.links.map(({ path, target }) => ({ path, kind: 'symlink' as const, mode: '0777', ...owner, target })),
    ...group.directories.map(({ path, mode }) => ({ path, kind: 'directory' as const, mode, ...owner })),
    ...group.copies.map(({ from, path }) => ({ ...entryAt(tree, from), path, ...owner })),
  ]);
  // A package that brings the link or folder itself knows better.
  return byPath([...tree, ...added.filter(({ path }) => !has.has(path))]);
}

function sourceOf(tree: readonly TreeEntry[], path: string): string {
  return entryAt(tree, path).source ?? '';
}

function entryAt(tree: readonly TreeEntry[], path: string): TreeEntry {
  const found = tree.find((one) => one.path === path && one.kind === 'file');
  if (found !== undefined) return found;
  throw new UserError(`no package of the base holds the file ${path}`, {
    code: 'base/copy-of-nothing',
    where: 'configs/base.ncl, field groups',
    hint: 'add the package that brings it, or remove what needs it',
  });
}

function withRootsShell(passwd: string): string {
  return passwd.replace(/^(root:.*):[^:\n]*$/m, '$1:/bin/bash');
}

/** The groups of a profile and a variant, each once, in the order of configs/base.ncl. */
export function chosenGroups(base: Base, profile: 'dev' | 'prod', variant: readonly string[]): string[] {
  const wanted = new Set([...base.profiles[profile], ...variant]);
  return Object.keys(base.groups).filter((name) => wanted.has(name));
}

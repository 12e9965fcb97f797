// SPDX-License-Identifier: PMPL-1.0-or-later
// Many packages -> one tree: /bin, /lib and /sbin go below /usr, what is left out goes, hard links find their file again.
// Pure but for the names of host files. Two packages with the same file are refused. Read next: replace.ts.
import { dirname, resolve } from 'node:path/posix';
import { UserError } from '../errors.ts';
import { contentFile, type Packed } from './unpack.ts';

/** An entry of tree.json (docs/architecture/contracts.adoc). */
export interface TreeEntry {
  readonly path: string;
  readonly kind: 'directory' | 'file' | 'symlink' | 'hardlink';
  readonly mode?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly source?: string;
  readonly target?: string;
}

export interface Unpacked {
  readonly name: string;
  readonly folder: string;
  readonly entries: readonly Packed[];
}

export interface LeftOut {
  readonly path: string;
  readonly except: readonly string[];
}

/** Folders of the old layout: Debian's packages still name them, a system has links there. */
const merged = ['bin', 'lib', 'lib64', 'sbin'];
/** Its folders have the modes that others' folders of the same name must have. */
const first = 'base-files';

/** Errors: `UserError` `base/two-packages`, `base/link-to-nothing`. Sorted by path. */
export function mergePackages(packages: readonly Unpacked[], leftOut: readonly LeftOut[]): TreeEntry[] {
  const tree = new Map<string, TreeEntry & { readonly from: string }>();
  const ordered = [...packages].sort((a, b) => Number(b.name === first) - Number(a.name === first));
  for (const one of ordered) {
    for (const entry of entriesOf(one, leftOut)) {
      const before = tree.get(entry.path);
      if (before?.kind === 'directory' && entry.kind === 'directory') continue;
      if (before !== undefined) throw twoPackages(entry.path, before.from, one.name);
      tree.set(entry.path, { ...entry, from: one.name });
    }
  }
  for (const { path, target = '' } of [...tree.values()].filter((one) => ruleOf(one.path, leftOut) !== undefined)) {
    const below = `${resolve(dirname(path), target)}/`;
    if (![...tree.keys()].some((one) => one.startsWith(below))) tree.delete(path);
  }
  const links = merged.map(
    (name): TreeEntry => ({ path: `/${name}`, kind: 'symlink', mode: '0777', uid: 0, gid: 0, target: `usr/${name}` }),
  );
  const entries = [...tree.values()].map(({ from: _, ...entry }): TreeEntry => entry);
  return byPath([...entries.filter(({ path }) => path !== '/'), ...links]);
}

export function byPath(entries: readonly TreeEntry[]): TreeEntry[] {
  return [...entries].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}

/** Where a path of a package is in the image. */
export function mergedPath(path: string): string {
  const [, top = ''] = path.split('/');
  return merged.includes(top) ? `/usr${path}` : path;
}

/**
 * A package's entries at their places, without what is left out. The names of one file become a file, the first by its path, and links to it.
 * A symbolic link stays for now where files below it may: a package may share the folder of another.
 */
function entriesOf({ name, folder, entries }: Unpacked, leftOut: readonly LeftOut[]): TreeEntry[] {
  const kept = (path: string, kind?: 'symlink') => {
    const rule = ruleOf(path, leftOut);
    return rule === undefined || (kind === 'symlink' && rule.except.length > 0);
  };
  const names = new Map<string, string[]>();
  const files = new Map<string, Packed>();
  const others: TreeEntry[] = [];
  for (const entry of entries) {
    const path = mergedPath(entry.path);
    if (entry.kind === 'file') {
      files.set(path, entry);
      names.set(path, [...(names.get(path) ?? []), path]);
    } else if (entry.kind === 'hardlink') {
      const target = mergedPath(entry.target ?? '');
      if (!files.has(target)) throw linkToNothing(name, path, target);
      names.get(target)?.push(path);
    } else {
      const { content: _, ...rest } = entry;
      if (kept(path, entry.kind === 'symlink' ? 'symlink' : undefined)) others.push({ ...rest, path } as TreeEntry);
    }
  }
  const contents = [...files].flatMap(([path, entry]): TreeEntry[] => {
    const [head, ...links] = [...new Set(names.get(path))].filter((one) => kept(one)).sort();
    if (head === undefined) return [];
    const { mode, uid, gid } = entry;
    const file = { path: head, kind: 'file' as const, mode, uid, gid, source: contentFile(folder, entry) };
    return [file, ...links.map((link) => ({ path: link, kind: 'hardlink' as const, target: head }))];
  });
  return [...others, ...contents];
}

/** The rule that leaves a path out. */
function ruleOf(path: string, leftOut: readonly LeftOut[]): LeftOut | undefined {
  const name = path.split('/').at(-1) ?? '';
  return leftOut.find((one) => (path === one.path || path.startsWith(`${one.path}/`)) && !one.except.includes(name));
}

function twoPackages(path: string, one: string, other: string): UserError {
  return new UserError(`${path} is in two packages: ${one} and ${other}`, {
    code: 'base/two-packages',
    where: 'configs/base.ncl, field groups',
    hint: 'leave one of the packages out, or name the path in left_out',
  });
}

function linkToNothing(name: string, path: string, target: string): UserError {
  return new UserError(`the package ${name} has a hard link ${path} to ${target}, which it does not hold`, {
    code: 'base/link-to-nothing',
    where: 'configs/base.ncl, field groups',
    hint: 'leave the package out',
  });
}

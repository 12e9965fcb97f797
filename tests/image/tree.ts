// SPDX-License-Identifier: PMPL-1.0-or-later
// A folder on this machine against `tree.json`: the same paths, kinds, modes, targets and bytes.
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';

export interface TreeEntry {
  readonly path: string;
  readonly kind: 'directory' | 'file' | 'symlink' | 'char' | 'block' | 'fifo' | 'hardlink';
  readonly mode?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly source?: string;
  readonly target?: string;
}

/** Throws what differs. Device nodes are left out: extracting them takes root. `owners`: whether the folder has the tree's. */
export async function expectTree(
  folder: string,
  tree: readonly TreeEntry[],
  options: { readonly owners: boolean },
): Promise<void> {
  const nodes = new Set(tree.filter((entry) => ['char', 'block', 'fifo'].includes(entry.kind)).map((entry) => entry.path));
  const wanted = tree.filter((entry) => !nodes.has(entry.path));
  const found = (await pathsBelow(folder)).filter((path) => !nodes.has(path));
  expect(found.sort()).toEqual(
    wanted
      .map((entry) => entry.path)
      .filter((path) => path !== '/')
      .sort(),
  );
  for (const entry of wanted) expect(await describe(folder, entry, options)).toEqual(await expectation(entry, tree, options));
}

/** Links are named, never followed: a tree's absolute links lead out of the folder. */
async function pathsBelow(folder: string, at = ''): Promise<string[]> {
  const entries = await readdir(join(folder, at), { withFileTypes: true });
  const lists = entries.map(async (entry) => {
    const path = `${at}/${entry.name}`;
    return entry.isDirectory() ? [path, ...(await pathsBelow(folder, path))] : [path];
  });
  return (await Promise.all(lists)).flat();
}

async function digest(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

/** Whoever lays out a file takes its set-user and set-group bits away, by chown(2): image.test.ts asks for those otherwise. */
function plain(mode: number, kind: string): string {
  return (mode & (kind === 'file' ? 0o1777 : 0o7777)).toString(8).padStart(4, '0');
}

interface Facts {
  readonly path: string;
  readonly kind: string;
  readonly mode: string | undefined;
  readonly owner: string | undefined;
  readonly content: string | undefined;
}

async function describe(folder: string, entry: TreeEntry, { owners }: { readonly owners: boolean }): Promise<Facts> {
  const path = join(folder, entry.path);
  const stat = await lstat(path);
  const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'symlink' : 'file';
  return {
    path: entry.path,
    kind,
    mode: kind === 'symlink' ? undefined : plain(stat.mode, kind),
    owner: owners ? `${stat.uid}:${stat.gid}` : undefined,
    content: kind === 'symlink' ? await readlink(path) : kind === 'file' ? await digest(path) : undefined,
  };
}

async function expectation(
  entry: TreeEntry,
  tree: readonly TreeEntry[],
  { owners }: { readonly owners: boolean },
): Promise<Facts> {
  // A hard link is another name of the file that it points at.
  const real = entry.kind === 'hardlink' ? tree.find((one) => one.path === entry.target) : entry;
  if (real === undefined) throw new Error(`${entry.path} links to nothing`);
  return {
    path: entry.path,
    kind: real.kind,
    mode: real.kind === 'symlink' ? undefined : plain(Number.parseInt(real.mode ?? '', 8), real.kind),
    owner: owners ? `${real.uid}:${real.gid}` : undefined,
    content: real.kind === 'symlink' ? real.target : real.kind === 'file' ? await digest(real.source ?? '') : undefined,
  };
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// One package -> a folder with its files' contents under numbers and `index.json`, which says what each is: path, kind, mode, owner.
// So no root is needed, and no file name of a package is a path here. Kept by the package's digest. Read next: merge.ts.
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Parser, type ReadEntry } from 'tar';
import { InternalError, UserError } from '../errors.ts';
import { debFiles } from '../toolchain/dpkg-deb.ts';
import { CommandError } from '../toolchain/exec.ts';

/** Raised when what is written changes. */
const layout = 1;

export interface Packed {
  /** As the package has it, below `/`: `/bin/sh`. */
  readonly path: string;
  readonly kind: 'directory' | 'file' | 'symlink' | 'hardlink';
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  /** The number of the file that holds the contents. */
  readonly content?: number;
  readonly target?: string;
}

/** Where the package with that digest is unpacked, below `cache`. */
export const unpackedFolder = (cache: string, sha256: string) => join(cache, `${sha256}-${layout}`);

/** Unpacks `deb` if it is not already. Errors: `UserError` `base/package-unreadable`. */
export async function unpack(deb: string, folder: string, signal: AbortSignal): Promise<readonly Packed[]> {
  const index = join(folder, 'index.json');
  if (existsSync(index)) return JSON.parse(await readFile(index, 'utf8')) as Packed[];
  await mkdir(dirname(folder), { recursive: true });
  const work = await mkdtemp(join(dirname(folder), '.unpack-'));
  try {
    const tar = join(work, 'files.tar');
    await debFiles(deb, tar, { signal }).catch((error: unknown) => {
      throw error instanceof CommandError ? unreadable(deb, error.result.stderr.trim()) : error;
    });
    const entries = await readTar(tar, work, deb);
    await rm(tar);
    await writeFile(join(work, 'index.json'), JSON.stringify(entries));
    await rename(work, folder).catch((error: NodeJS.ErrnoException) => {
      // Another build was quicker, with the same.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    return entries;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function readTar(tar: string, folder: string, deb: string): Promise<Packed[]> {
  const entries: Packed[] = [];
  const writing: Promise<void>[] = [];
  const parser = new Parser({
    strict: true,
    onReadEntry(entry: ReadEntry) {
      const number = entries.length;
      const packed = describe(entry, number, deb);
      entries.push(packed);
      if (packed.content === undefined) entry.resume();
      else writing.push(entry.concat().then((bytes) => writeFile(join(folder, String(number)), bytes)));
    },
  });
  try {
    await pipeline(createReadStream(tar), parser as unknown as NodeJS.WritableStream);
    await Promise.all(writing);
  } catch (error) {
    await Promise.allSettled(writing);
    if (error instanceof UserError) throw error;
    throw unreadable(deb, (error as Error).message);
  }
  return entries;
}

function describe(entry: ReadEntry, number: number, deb: string): Packed {
  const path = cleaned(entry.path, deb);
  const mode = ((entry.mode ?? 0) & 0o7777).toString(8).padStart(4, '0');
  const common = { path, mode, uid: entry.uid ?? 0, gid: entry.gid ?? 0 };
  switch (entry.type) {
    case 'Directory':
      return { ...common, kind: 'directory' };
    case 'File':
    case 'OldFile':
    case 'ContiguousFile':
      return { ...common, kind: 'file', content: number };
    case 'SymbolicLink':
      return { ...common, mode: '0777', kind: 'symlink', target: entry.linkpath ?? '' };
    case 'Link':
      return { ...common, kind: 'hardlink', target: cleaned(entry.linkpath ?? '', deb) };
    default:
      throw unreadable(deb, `${path} is a ${entry.type}, which no package should hold`);
  }
}

/** `./usr/bin/` -> `/usr/bin`; the root itself is `/`. */
function cleaned(path: string, deb: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || path.includes('\0')) throw unreadable(deb, `it holds the path ${JSON.stringify(path)}`);
  return `/${parts.join('/')}`;
}

function unreadable(deb: string, why: string): UserError {
  return new UserError(`a package cannot be unpacked: ${why}`, {
    code: 'base/package-unreadable',
    where: deb,
    hint: 'remove that file, then run the same command again: it is fetched anew',
  });
}

/** The host file of an entry's contents. */
export function contentFile(folder: string, entry: Packed): string {
  if (entry.content === undefined) throw new InternalError(`${entry.path} has no contents`);
  return join(folder, String(entry.content));
}

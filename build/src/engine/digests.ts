// SPDX-License-Identifier: PMPL-1.0-or-later
// sha256 of files and folders, remembered by size, times and inode, so that an unchanged tree costs a stat per file.
// A file that was changed in the last moments is not remembered: another change in the same tick of the clock would not be seen.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, readdir, readFile, readlink, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import type { Json } from './types.ts';

interface Kept {
  readonly seen: string;
  readonly sha256: string;
}

/** Ticks of file times are a few milliseconds at most; ten times that. */
const freshMs = 50;

export class Digests {
  readonly #file: string;
  readonly #kept: Map<string, Kept>;
  #changed = false;
  /** Steps end side by side, and each saves: one after the other. */
  #saving: Promise<void> = Promise.resolve();

  private constructor(file: string, kept: Map<string, Kept>) {
    this.#file = file;
    this.#kept = kept;
  }

  /** `file` holds what is remembered; an unreadable one is an empty one. */
  static async open(file: string): Promise<Digests> {
    try {
      return new Digests(file, new Map(JSON.parse(await readFile(file, 'utf8')) as [string, Kept][]));
    } catch {
      return new Digests(file, new Map());
    }
  }

  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#write());
    return this.#saving;
  }

  async #write(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    await mkdir(dirname(this.#file), { recursive: true });
    await writeFile(`${this.#file}.${process.pid}`, JSON.stringify([...this.#kept]));
    await rename(`${this.#file}.${process.pid}`, this.#file);
  }

  /** undefined when there is no such file. */
  async ofFile(path: string): Promise<string | undefined> {
    const seen = await look(path);
    if (seen === undefined) {
      this.#changed = this.#kept.delete(path) || this.#changed;
      return undefined;
    }
    const kept = this.#kept.get(path);
    if (kept?.seen === seen.text) return kept.sha256;
    const sha256 = seen.link ?? (await hashFile(path));
    this.#remember(path, seen, sha256);
    return sha256;
  }

  /** For whoever has hashed a file while writing it. */
  async known(path: string, sha256: string): Promise<void> {
    const seen = await look(path);
    if (seen !== undefined) this.#remember(path, seen, sha256, 'anyway');
  }

  /** Each file's digest by its path in the folder, sorted; undefined when there is no such folder. */
  async ofTree(folder: string, ignore: readonly string[] = []): Promise<Readonly<Record<string, string>> | undefined> {
    const paths: string[] = [];
    try {
      await walk(folder, '', new Set(ignore), paths);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    const digests = await Promise.all(paths.map(async (path) => [path, await this.ofFile(join(folder, path))] as const));
    return Object.fromEntries(digests.filter((one): one is readonly [string, string] => one[1] !== undefined));
  }

  #remember(path: string, seen: Seen, sha256: string, when?: 'anyway'): void {
    if (when === undefined && Date.now() - seen.changedMs < freshMs) return;
    this.#kept.set(path, { seen: seen.text, sha256 });
    this.#changed = true;
  }
}

export function digestOf(value: Json): string {
  return createHash('sha256').update(canonical(value)).digest('hex');
}

/** JSON with sorted keys: the same value is the same text. */
export function canonical(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const entries = Object.entries(value as Record<string, Json>).filter(([, inner]) => inner !== undefined);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`)
    .join(',')}}`;
}

interface Seen {
  readonly text: string;
  readonly changedMs: number;
  /** For a symbolic link: what stands for its digest. */
  readonly link: string | undefined;
}

async function look(path: string): Promise<Seen | undefined> {
  try {
    const stat = await lstat(path, { bigint: true });
    const link = stat.isSymbolicLink() ? digestOf(['link', await readlink(path)]) : undefined;
    // The executable bit matters, the rest of the mode is the user's umask.
    const text = [stat.size, stat.mtimeNs, stat.ctimeNs, stat.ino, stat.mode & 0o100n].join(' ');
    return { text, changedMs: Number(stat.ctimeNs / 1_000_000n), link };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR')
      return undefined;
    throw error;
  }
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EISDIR' && code !== 'EIO') throw error;
    throw new UserError(`cannot read ${path}: ${code}`, {
      code: 'build/unreadable-input',
      where: path,
      hint: 'check its owner and mode',
      cause: error,
    });
  }
  return hash.digest('hex');
}

async function walk(folder: string, at: string, ignore: ReadonlySet<string>, into: string[]): Promise<void> {
  const entries = await readdir(join(folder, at), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (ignore.has(entry.name)) continue;
    const path = at === '' ? entry.name : `${at}/${entry.name}`;
    if (entry.isDirectory()) await walk(folder, path, ignore, into);
    else into.push(path);
  }
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// The files of the source, as a walk finds them: what builds and tools made is left out.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const made = new Set(['.git', 'node_modules', 'target', 'out', 'dist', '.toolchain', '.cache']);

/** Paths relative to the root, sorted. */
export async function sourceFiles(root: string, under = ''): Promise<string[]> {
  const entries = await readdir(join(root, under), { withFileTypes: true }).catch(() => []);
  const lists = await Promise.all(
    entries
      .filter((entry) => !made.has(entry.name))
      .map((entry) => {
        const path = under === '' ? entry.name : `${under}/${entry.name}`;
        return entry.isDirectory() ? sourceFiles(root, path) : entry.isFile() ? [path] : [];
      }),
  );
  return lists.flat().sort();
}

export async function readSource(root: string, path: string): Promise<string> {
  return readFile(join(root, path), 'utf8');
}

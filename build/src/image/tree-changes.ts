// SPDX-License-Identifier: PMPL-1.0-or-later
// What differs between the trees of two slots, by path: what is new, gone, or not the same in content, mode, owner or kind.
// Works on what `slot extract` wrote. Changes nothing.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestFile } from './sparse.ts';

export interface TreeChange {
  readonly path: string;
  readonly change: 'new' | 'gone' | 'changed';
  /** What of it: `content`, `mode 0644 -> 0755`. */
  readonly what: readonly string[];
}

/** An entry of tree.json, docs/architecture/contracts.adoc. */
type Entry = Readonly<Record<string, unknown>> & { readonly path: string; readonly kind: string };

/** `before` and `after`: folders that `slot extract` filled. In the order of their paths. */
export async function treeChanges(before: string, after: string): Promise<TreeChange[]> {
  const [olds, news] = await Promise.all([entries(before), entries(after)]);
  const paths = [...new Set([...olds.keys(), ...news.keys()])].sort();
  const all = await Promise.all(
    paths.map(async (path): Promise<TreeChange[]> => {
      const [old, now] = [olds.get(path), news.get(path)];
      if (old === undefined) return [{ path, change: 'new', what: [now?.kind ?? ''] }];
      if (now === undefined) return [{ path, change: 'gone', what: [old.kind] }];
      const what = [...fields(old, now), ...(await content(old, now))];
      return what.length === 0 ? [] : [{ path, change: 'changed', what }];
    }),
  );
  return all.flat();
}

async function entries(folder: string): Promise<Map<string, Entry>> {
  const { entries } = JSON.parse(await readFile(join(folder, 'tree.json'), 'utf8')) as { entries: Entry[] };
  return new Map(entries.map((entry) => [entry.path, entry]));
}

/** `source` is where the extracted file lies, so it always differs. */
function fields(old: Entry, now: Entry): string[] {
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter((name) => name !== 'source').sort();
  return names
    .map((name) => [name, JSON.stringify(old[name]), JSON.stringify(now[name])])
    .filter(([, before, after]) => before !== after)
    .map(([name, before = 'none', after = 'none']) => `${name} ${before} -> ${after}`.replaceAll('"', ''));
}

async function content(old: Entry, now: Entry): Promise<string[]> {
  if (typeof old.source !== 'string' || typeof now.source !== 'string') return [];
  const [before, after] = await Promise.all([digestFile(old.source), digestFile(now.source)]);
  return before === after ? [] : ['content'];
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// configs/base.lock.json: which version of which package, by digest. It names no machine: the sources are those of whoever builds.
// Made by `just lock-base` (below), read by every build. Read next: fetch.ts.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Base } from '../config/types.ts';
import { digestOf } from '../engine/digests.ts';
import { UserError } from '../errors.ts';
import { type AptRequest, aptShow, aptSolve, aptUpdate, openApt } from '../toolchain/apt.ts';

export const lockFile = 'configs/base.lock.json';
const makeIt = 'run `just lock-base` and commit configs/base.lock.json';

const packageRow = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/),
  version: z.string().regex(/^[A-Za-z0-9.+:~-]+$/),
  architecture: z.enum(['amd64', 'all']),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  size_bytes: z.int(),
});
const lockShape = z.strictObject({
  /** Digest of what was asked for: another question needs another answer. */
  request: z.string(),
  /** By group of configs/base.ncl: what it holds beyond the first group. */
  groups: z.record(z.string(), z.array(packageRow)),
});

export type LockedPackage = z.infer<typeof packageRow>;
export type Lock = z.infer<typeof lockShape>;

/** Errors: `UserError` `base/lock-missing`, `base/lock-invalid`, `base/lock-stale`. */
export async function readLock(root: string, base: Base): Promise<Lock> {
  const text = await readFile(join(root, lockFile), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new UserError('the base packages are not locked', { code: 'base/lock-missing', where: lockFile, hint: makeIt });
  });
  const lock = parseLock(text);
  if (lock.request !== requestDigest(base))
    throw new UserError('configs/base.ncl asks for other packages than the lock answers', {
      code: 'base/lock-stale',
      where: lockFile,
      hint: makeIt,
    });
  return lock;
}

export function parseLock(text: string): Lock {
  const invalid = (why: string, cause?: unknown) =>
    new UserError(`the lock of the base packages is damaged: ${why}`, {
      code: 'base/lock-invalid',
      where: lockFile,
      hint: makeIt,
      cause,
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid((error as Error).message, error);
  }
  const parsed = lockShape.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(`${issue?.path.join('.')}: ${issue?.message}`);
}

/** The packages of some groups, each once, sorted by name. */
export function lockedPackages(lock: Lock, groups: readonly string[]): LockedPackage[] {
  const rows = new Map(groups.flatMap((group) => lock.groups[group] ?? []).map((row) => [row.name, row]));
  return [...rows.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Asks apt, with lists fetched now, and writes the lock.
 * Errors: `UserError` `base/unsolvable` with apt's words.
 */
export async function makeLock(
  root: string,
  base: Base,
  apt: Pick<AptRequest, 'folder' | 'signal' | 'onLine' | 'sources'>,
): Promise<Lock> {
  const supplied = base.supplied.map((one) => one.package);
  const asked = await openApt({ ...apt, suite: base.suite, supplied, lists: 'own' });
  await aptUpdate(asked);
  const solve = async (packages: readonly string[]): Promise<LockedPackage[]> => {
    const { found, why } = await aptSolve(asked, packages);
    if (found === undefined)
      throw new UserError('apt finds no set of packages', {
        code: 'base/unsolvable',
        where: 'configs/base.ncl, field groups',
        hint: `see that the machine's sources have ${base.suite}. apt says:\n    ${why.split('\n').slice(-12).join('\n    ')}`,
      });
    const shown = new Map((await aptShow(asked, found)).map((one) => [one.name, one]));
    return found.map(({ name, version }) => packageRow.parse({ name, version, ...shown.get(name) }));
  };
  const [[first, { packages }] = ['', { packages: [] }], ...others] = Object.entries(base.groups);
  const groups: Record<string, LockedPackage[]> = { [first]: await solve(packages) };
  const has = new Set(groups[first]?.map((row) => row.name));
  for (const [name, group] of others)
    groups[name] = (await solve([...packages, ...group.packages])).filter((row) => !has.has(row.name));
  const lock = { request: requestDigest(base), groups };
  await writeFile(join(root, lockFile), render(lock));
  return lock;
}

function requestDigest({ source, suite, groups, supplied }: Base): string {
  const names = Object.entries(groups).map(([name, { packages }]) => [name, [...packages].sort()]);
  return digestOf([source, suite, names, supplied.map((one) => one.package).sort()]);
}

/** A package a line, so that a change of one is a line of a diff. */
function render({ request, groups }: Lock): string {
  const lists = Object.entries(groups).map(
    ([name, rows]) => `    ${JSON.stringify(name)}: [\n${rows.map((row) => `      ${JSON.stringify(row)}`).join(',\n')}\n    ]`,
  );
  return `{\n  "request": ${JSON.stringify(request)},\n  "groups": {\n${lists.join(',\n')}\n  }\n}\n`;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// A copy of `configs/` and `images/` with changes, loaded: what a person would see who had made those changes.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { formatError, loadConfig, type RunResult, repositoryRoot, run, UserError, UserErrors } from '../../build/src/testing.ts';

/** In `file`, the first `old` becomes `new`; an `old` that is not there fails the test. */
export interface Change {
  readonly file: string;
  readonly old: string;
  readonly new: string;
}

export interface Refusal {
  readonly errors: readonly UserError[];
  readonly codes: readonly string[];
  readonly text: string;
}

/** Loads the changed copy and returns what was refused. A configuration that is accepted fails the test. */
export function refusal(...changes: readonly Change[]): Promise<Refusal> {
  return withChanges(changes, (folder) => refused(loadConfig(repositoryRoot(), { from: folder })));
}

/** What `promise` was refused with; success and other failures fail the test. */
export async function refused(promise: Promise<unknown>): Promise<Refusal> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof UserError))
    throw new Error(`expected a refusal, got ${error instanceof Error ? error.stack : 'success'}`);
  const errors = error instanceof UserErrors ? error.errors : [error];
  return { errors, codes: errors.map((one) => one.code), text: formatError(error) };
}

/** Gives `use` a folder with the changed `configs/` and `images/`. */
export async function withChanges<T>(changes: readonly Change[], use: (folder: string) => Promise<T>): Promise<T> {
  const root = repositoryRoot();
  const folder = await mkdtemp(join(tmpdir(), 'refusal-'));
  try {
    await cp(join(root, 'configs'), join(folder, 'configs'), { recursive: true });
    await cp(join(root, 'images'), join(folder, 'images'), { recursive: true });
    for (const change of changes) await apply(folder, change);
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Exactly one mistake, of this code, at `file:line, field path`, whose message matches. */
export function expectOne(found: Refusal, code: string, where: RegExp, message: RegExp): void {
  expect(found.codes, found.text).toEqual([code]);
  expect(found.errors[0]?.where).toMatch(where);
  expect(found.errors[0]?.message).toMatch(message);
  expect(found.errors[0]?.hint, 'a refusal says what to do').toBeTruthy();
}

/** The orchestrator as a person calls it, from the compiled files that the recipes use. */
export function orchestrate(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunResult> {
  const root = repositoryRoot();
  return run(process.execPath, [join(root, 'build/dist/run.js'), ...args], { cwd: root, env, ok: 'any', timeoutMs: 120_000 });
}

async function apply(folder: string, change: Change): Promise<void> {
  const path = join(folder, change.file);
  const text = await readFile(path, 'utf8');
  if (!text.includes(change.old)) throw new Error(`${change.file} does not hold ${JSON.stringify(change.old)}`);
  await writeFile(
    path,
    text.replace(change.old, () => change.new),
  );
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// The configuration: files -> Nickel -> rules -> resolved. All mistakes that can be found are thrown together, and nothing is built.
// An evaluation is kept under out/.cache by the digest of all files, so that an unchanged configuration starts no program.
// Read next: rules.ts (what is refused beyond the contracts), diagnostics.ts (Nickel's words into ours).
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { InternalError, throwAll, type UserError } from '../errors.ts';
import { linkedInterfaces } from '../manifest/links.ts';
import { evaluate, nickelVersion } from '../toolchain/nickel.ts';
import { type Mistake, mistakeOf, type Sources } from './diagnostics.ts';
import { configFiles, wholeExpression } from './files.ts';
import type { RawConfig } from './raw.ts';
import { type Resolved, resolveConfig } from './resolve.ts';
import { checkConfig, startOrder, withLines } from './rules.ts';
import { parseSource } from './source.ts';
import type { Config } from './types.ts';

export interface LoadOptions {
  /** Where `configs/` and `images/` stand; the repository's root by default. Tests give a changed copy. */
  readonly from?: string;
  readonly signal?: AbortSignal;
}

/** Errors: `UserError` `config/...`, `manifest/...`, `image/...`, all together. */
export async function loadConfig(root: string, options: LoadOptions = {}): Promise<Config> {
  const from = options.from ?? root;
  const files = await configFiles(from);
  const raw = await cached(root, files, () => evaluateAll(root, from, files, options.signal));
  const sources = lazySources(files);
  let resolved: Resolved;
  try {
    resolved = resolveConfig(raw);
    const programs = resolved.components.map((one) => one.program);
    throwAll(checkConfig(resolved, sources, await linkedInterfaces(root, programs)));
  } catch (error) {
    throw withLines(error, sources);
  }
  return { ...resolved, startOrder: startOrder(resolved.components) };
}

async function evaluateAll(
  root: string,
  from: string,
  files: ReadonlyMap<string, string>,
  signal?: AbortSignal,
): Promise<RawConfig> {
  const expression = wholeExpression(files.keys());
  const evaluation = await evaluate(root, expression, from, signal);
  if (!evaluation.ok) throwAll(await allMistakes(root, from, files, evaluation.diagnostic, signal));
  if (!evaluation.ok) throw new InternalError(`Nickel failed, but without a mistake:\n${evaluation.diagnostic}`);
  const { parseRaw } = await import('./raw.ts');
  return parseRaw(evaluation.value);
}

/** More than these are not asked for: each costs an evaluation. */
const mostMistakes = 12;

/** Mends what was wrong, in a copy, and evaluates again, until nothing is wrong or there is no telling how to mend it. */
async function allMistakes(
  root: string,
  from: string,
  original: ReadonlyMap<string, string>,
  firstDiagnostic: string,
  signal?: AbortSignal,
): Promise<UserError[]> {
  const folder = await mkdtemp(join(tmpdir(), 'flatracoon-config-'));
  try {
    const files = new Map(original);
    const errors: UserError[] = [];
    const gone = new Set<string>();
    let mistake: Mistake | undefined = mistakeOf(firstDiagnostic, from, lazySources(files));
    while (mistake !== undefined) {
      const { error, mended }: Mistake = mistake;
      if (!(error.code === 'config/missing-field' && gone.has(error.message.replace(/: missing$/, '')))) errors.push(error);
      if (mended === undefined || errors.length >= mostMistakes) break;
      files.set(mended.file, mended.text);
      if (mended.gone !== undefined) gone.add(mended.gone);
      for (const [path, text] of files) await write(join(folder, path), text);
      const next = await evaluate(root, wholeExpression(files.keys()), folder, signal);
      mistake = next.ok ? undefined : mistakeOf(next.diagnostic, folder, lazySources(files));
    }
    return errors;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Parsed when first asked for: a good configuration needs no lines. */
function lazySources(files: ReadonlyMap<string, string>): Sources {
  const parsed = new Map<string, ReturnType<typeof parseSource>>();
  const get = (path: string) => {
    const text = files.get(path);
    if (text === undefined) return undefined;
    const source = parsed.get(path) ?? parseSource(text);
    parsed.set(path, source);
    return source;
  };
  return { get, paths: () => files.keys() };
}

async function cached(root: string, files: ReadonlyMap<string, string>, make: () => Promise<RawConfig>): Promise<RawConfig> {
  const hash = createHash('sha256').update(`4 ${nickelVersion(root)}\0`);
  for (const [path, text] of files) hash.update(`${path}\0${text}\0`);
  const key = hash.digest('hex');
  const file = join(root, 'out/.cache/config', `${key}.json`);
  const kept = await readFile(file, 'utf8').catch(() => undefined);
  if (kept !== undefined) return JSON.parse(kept) as RawConfig;
  const raw = await make();
  await write(file, JSON.stringify(raw));
  return raw;
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.${process.pid}.new`, text);
  await rename(`${path}.${process.pid}.new`, path);
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// How long builds take, measured in a clone of the commit that is checked out, so that nobody's out/ or target/ is touched.
// The clone borrows npm packages and the chosen toolchain; crates come from cargo's own cache, as for anybody's second build.
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InternalError } from '../errors.ts';
import { run } from '../toolchain/exec.ts';
import type { Figure } from './figures.ts';

export interface BuildsContext {
  readonly root: string;
  /** Where the clone goes; removed before and after. */
  readonly clone: string;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** The source that one line is changed in: a server that every image holds. */
const changedSource = 'servers-rs/servers/storage/src/main.rs';

export async function measureBuilds(context: BuildsContext): Promise<Figure[]> {
  const { clone } = context;
  await makeClone(context);
  try {
    const cold = (profile: string) => timed(context, `build-${profile}`);
    const dev = await cold('dev');
    const unchanged = await timed(context, 'build-dev');
    changeOneLine(join(clone, changedSource));
    const oneLine = await timed(context, 'build-dev');
    for (const folder of ['out', 'kernel-rs/target', 'kernel-rs/boot/target', 'servers-rs/target']) {
      rmSync(join(clone, folder), { recursive: true, force: true });
    }
    const prod = await cold('prod');
    return [
      { name: 'build.cold.dev', value: dev, unit: 's', how: 'build-dev in a fresh clone, nothing compiled' },
      { name: 'build.cold.prod', value: prod, unit: 's', how: 'build-prod in a fresh clone, nothing compiled' },
      {
        name: 'build.one-line',
        value: oneLine,
        unit: 's',
        must: 15,
        goal: 10,
        how: `build-dev after a change of one line in ${changedSource}`,
      },
      { name: 'build.unchanged', value: unchanged, unit: 's', goal: 1, how: 'build-dev again with nothing changed' },
    ];
  } finally {
    rmSync(clone, { recursive: true, force: true });
  }
}

async function makeClone({ root, clone, signal, say }: BuildsContext): Promise<void> {
  rmSync(clone, { recursive: true, force: true });
  const { stdout } = await run('git', ['-C', root, 'status', '--porcelain', '--untracked-files=no'], { signal });
  if (stdout !== '') say('note: changes that are not committed are not in the measured clone');
  await run('git', ['clone', '--quiet', '--no-hardlinks', root, clone], { signal });
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
  cpSync(join(root, '.toolchain'), join(clone, '.toolchain'), { recursive: true, verbatimSymlinks: true });
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [tsc, '-p', 'build/tsconfig.json', '--noCheck'], { cwd: clone, signal });
}

/** Seconds. */
async function timed({ clone, signal, say }: BuildsContext, verb: string): Promise<number> {
  say(`${verb} in ${clone}`);
  const { durationMs } = await run(process.execPath, [join('build', 'dist', 'run.js'), verb], { cwd: clone, signal });
  return durationMs / 1_000;
}

/** Adds a letter to the first text that the program prints, so that its binary and everything made of it changes. */
function changeOneLine(path: string): void {
  const source = readFileSync(path, 'utf8');
  const changed = source.replace(/^(?!\s*\/\/|\s*#)(.*"[a-z][a-z :]{4,})(?=[^"\n]*")/m, '$1z');
  if (changed === source) throw new InternalError(`no text to change was found in ${path}`);
  writeFileSync(path, changed);
}

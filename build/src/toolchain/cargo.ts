// SPDX-License-Identifier: PMPL-1.0-or-later
// Cargo, for builds that must come out the same everywhere: locked, no incremental state, and no path of this machine in the result.
// Which packages for which target is the business of `steps/`. Read next: `host.ts`, which says which cargo.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { CommandError, run } from './exec.ts';
import { cargoHome, cargoHost, rustToolchain } from './host.ts';

export interface CargoBuild {
  readonly root: string;
  /** The workspace, relative to the root: `servers-rs`. */
  readonly workspace: string;
  readonly packages: readonly string[];
  /** A triple, or a JSON file in the workspace; the host when absent. */
  readonly target?: string;
  /** Builds core and alloc from source: every target but the host needs it. */
  readonly buildStd?: true;
  readonly features?: readonly string[];
  /** After the flags that every build has. */
  readonly rustFlags?: readonly string[];
  readonly targetDir: string;
  readonly logFile: string;
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Returns the folder of the finished programs. Errors: `UserError` `build/…` when the source does not compile; the log has it all. */
export async function cargoBuild(build: CargoBuild): Promise<string> {
  const { root, workspace, target } = build;
  const { cargo, env } = cargoHost(root);
  const flags = [...reproducibleFlags(root), ...(build.rustFlags ?? [])];
  const args = ['build', '--release', '--locked', ...build.packages.flatMap((name) => ['-p', name])];
  if (target !== undefined) args.push('--target', target);
  if (target?.endsWith('.json') === true) args.push('-Zjson-target-spec');
  if (build.buildStd === true)
    args.push('-Zbuild-std=core,alloc,compiler_builtins', '-Zbuild-std-features=compiler-builtins-mem');
  if (build.features !== undefined && build.features.length > 0) args.push('--features', build.features.join(','));
  try {
    await run(cargo, args, {
      cwd: join(root, workspace),
      env: {
        ...env,
        CARGO_TARGET_DIR: build.targetDir,
        CARGO_ENCODED_RUSTFLAGS: flags.join('\x1f'),
        CARGO_INCREMENTAL: '0',
        ...(target === undefined ? hostTools : {}),
        RUSTC_WRAPPER: stableIds(root),
        FR_ROOT: root,
      },
      signal: build.signal,
      onLine: build.onLine,
    });
  } catch (error) {
    if (error instanceof CommandError) throw await whatCargoSaid(error, build);
    throw error;
  }
  const triple = target
    ?.split('/')
    .at(-1)
    ?.replace(/\.json$/, '');
  return join(build.targetDir, ...(triple === undefined ? [] : [triple]), 'release');
}

/** What runs here and ships nowhere: as fast, without the minutes that optimising over all crates at once takes. */
const hostTools = {
  CARGO_PROFILE_RELEASE_LTO: 'off',
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
  CARGO_PROFILE_RELEASE_DEBUG: '0',
};

/** No path of this machine may get into a program: panics, debug information and symbol names come from the source's. */
export function reproducibleFlags(root: string): string[] {
  const std = rustToolchain(root).stdSource;
  const maps: [string, string][] = [
    [cargoHome(), '/cargo'],
    [std, '/rust/library'],
    [root, '/flatracoon-os'],
  ];
  // The last matching map wins, so the root comes last: a cargo home may lie in it or it in a home.
  const remaps = maps.map(([from, to]) => `--remap-path-prefix=${from}=${to}`);
  // Cargo does not look into a wrapper: without this, what another version of it has compiled would be taken for fresh.
  const digest = createHash('sha256')
    .update(readFileSync(stableIds(root)))
    .digest('hex')
    .slice(0, 12);
  return [...remaps, `--cfg=stable_ids="${digest}"`];
}

const stableIds = (root: string) => join(root, 'scripts/rustc-stable-ids.sh');

/** A compiler error is the source's fault, so it is told without our stack; the first errors are shown. */
async function whatCargoSaid(error: CommandError, build: CargoBuild): Promise<Error> {
  const text = error.result.stderr;
  await appendFile(build.logFile, `${error.result.command}\n${text}\n`).catch(() => undefined);
  if (/No space left on device/.test(text)) {
    const hint = 'free some space (`just clean` removes out/), then run the same command again';
    return new UserError('the disk is full', { code: 'machine/disk-full', where: build.targetDir, hint, log: build.logFile });
  }
  if (/failed to (download|fetch|get)|Could not resolve host|registry/.test(text) && !/^error\[E/m.test(text)) {
    const hint = 'see that this machine reaches the crate registry, then run the same command again';
    return new UserError(`cargo could not get a crate for ${build.workspace}:\n${firstErrors(text)}`, {
      code: 'build/crates',
      hint,
      log: build.logFile,
    });
  }
  if (error.result.code !== 101) return error;
  const message = `${build.workspace}: the Rust source does not compile\n${firstErrors(text)}`;
  return new UserError(message, {
    code: 'build/does-not-compile',
    where: build.workspace,
    hint: 'mend the source; the log has every message',
    log: build.logFile,
  });
}

function firstErrors(text: string): string {
  const at = text.search(/^error/m);
  return text
    .slice(Math.max(0, at))
    .split('\n')
    .slice(0, 30)
    .map((line) => `    ${line}`)
    .join('\n');
}

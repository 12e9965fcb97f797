// SPDX-License-Identifier: PMPL-1.0-or-later
// The test programs that run inside a guest (servers-rs/tests): compiled beside the build's own programs and packed into a bundle
// as their manifests say. Everything else in the bundle is what the build made.
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Machine } from '../../build/src/testing.ts';
import {
  artifactsOf,
  cargoBuild,
  type Profile,
  packBundle,
  parseTap,
  run,
  type TapRun,
  tapProblems,
} from '../../build/src/testing.ts';
import { root } from './root.ts';

/** A manifest in servers-rs/tests/suite, or in the folder that `folders` names. */
export type SuiteManifest = 'bundle' | 'with-disk' | 'data' | 'network' | 'guest' | 'cell';
const folders: Partial<Record<SuiteManifest, string>> = { network: 'peer', guest: 'guest' };

const programs = ['suite', 'assistant', 'peer', 'guest', 'linux'];
let compiled: Promise<string> | undefined;

/** A bundle with the test programs, for this profile's kernel; `args` are for the last component, the one that tests. */
export async function suiteBundle(manifest: SuiteManifest, profile: Profile, args: readonly string[] = []): Promise<string> {
  compiled ??= compile(programs, native);
  const folder = await compiled;
  const { kernel, folder: outDir, bundleTool } = artifactsOf(root, profile);
  const from = folders[manifest] ?? 'suite';
  const description = JSON.parse(await readFile(join(root, 'servers-rs', 'tests', from, `${manifest}.json`), 'utf8'));
  const elf = (path: string) => {
    const name = basename(path);
    return programs.includes(name) ? join(folder, name) : join(outDir, '.build', 'programs', `${name}.elf`);
  };
  const packed = {
    ...description,
    profile,
    kernel_elf: kernel,
    root_elf: elf(description.root_elf),
    components: description.components.map((one: { elf?: string }, n: number, all: object[]) => ({
      ...one,
      ...(one.elf === undefined ? {} : { elf: elf(one.elf) }),
      ...(n === all.length - 1 && args.length > 0 ? { arguments: args } : {}),
    })),
  };
  const out = join(root, 'out', 'test', 'bundles');
  mkdirSync(out, { recursive: true });
  const name = ['suite', manifest, profile, ...(args.every((one) => /^[\w=.]+$/.test(one)) ? args : [digest(args)])]
    .join('-')
    .replaceAll('=', '-');
  return packBundle({ bundleTool, description: packed, folder: out, name });
}

/** Arguments that are no file name, as one. */
function digest(args: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(args)).digest('hex').slice(0, 16);
}

const native = { target: 'x86_64-flatracoon-user.json', buildStd: true } as const;

/** For our kernel, or for the host. */
async function compile(packages: readonly string[], target: typeof native | Record<string, never>): Promise<string> {
  const out = join(root, 'out', 'test');
  mkdirSync(out, { recursive: true });
  return cargoBuild({
    root,
    workspace: 'servers-rs',
    packages,
    ...target,
    // Where the build compiles its own programs: what they share is there already.
    targetDir: join(root, 'out', '.cargo', target === native ? 'servers' : 'host'),
    logFile: join(out, 'suite.log'),
    onLine: () => undefined,
    signal: new AbortController().signal,
  });
}

/** Writes the program that `guest` runs to a path, ready to be run by Linux. */
export async function guestProgram(path: string): Promise<void> {
  const folder = await compile(['guest'], {});
  await run(join(folder, 'guest'), [path]);
}

/** Waits for the plan that ends a run, and gives what was reported. Errors: the run's problems, with the guest's last lines. */
export async function tapOf(machine: Machine, timeoutMs: number): Promise<TapRun> {
  await machine.console.waitFor(/^1\.\.\d+$/, { timeoutMs });
  const tap = parseTap(machine.console.lines.map((line) => line.text));
  const problems = tapProblems(tap);
  if (problems.length > 0) throw machine.console.failure(problems.join('\n'));
  return tap;
}

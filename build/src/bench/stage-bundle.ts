// SPDX-License-Identifier: PMPL-1.0-or-later
// A bundle whose root is a test program of servers-rs/tests: nothing else runs beside it (`servers-rs/tests/stage`).
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cargoBuild } from '../toolchain/cargo.ts';
import { bundle } from '../toolchain/host-tools.ts';

export interface StageBundle {
  readonly root: string;
  /** A package of servers-rs/tests. */
  readonly program: string;
  readonly profile: 'dev' | 'prod';
  /** What the program finds as its arguments. */
  readonly args: readonly string[];
  /** Kernel and bundle tool, as built. */
  readonly kernel: string;
  readonly bundleTool: string;
  /** Where the bundle goes. */
  readonly folder: string;
  readonly signal?: AbortSignal;
}

const compiled = new Map<string, Promise<string>>();

/** Compiles a test program for our kernel, once in a process; returns the folder that holds it. */
export function compileNative(want: {
  readonly root: string;
  readonly program: string;
  /** Where the compiler's log goes. */
  readonly folder: string;
  readonly signal: AbortSignal;
}): Promise<string> {
  const { root, program, folder, signal } = want;
  const programs =
    compiled.get(program) ??
    cargoBuild({
      root,
      workspace: 'servers-rs',
      packages: [program],
      target: 'x86_64-flatracoon-user.json',
      buildStd: true,
      // Where the build compiles its native programs: what they share is there already.
      targetDir: join(root, 'out', '.cargo', 'servers'),
      logFile: join(folder, 'compile.log'),
      onLine: () => undefined,
      signal,
    });
  compiled.set(program, programs);
  return programs;
}

/** Compiles the program, once in a process, and packs it; returns the bundle's path. */
export async function stageBundle(want: StageBundle): Promise<string> {
  const { root, program, profile, args, folder, signal = new AbortController().signal } = want;
  mkdirSync(folder, { recursive: true });
  const elf = join(await compileNative({ root, program, folder, signal }), program);
  const said = JSON.parse(await readFile(join(root, 'servers-rs/tests/stage/bundle.json'), 'utf8'));
  const description = {
    ...said,
    profile,
    kernel: { ...said.kernel, log_level: profile === 'dev' ? 'debug' : 'info' },
    kernel_elf: want.kernel,
    root_elf: elf,
    components: said.components.map((one: object) => ({ ...one, program, elf, arguments: args })),
  };
  const name = [program, profile, ...args].join('-').replaceAll('=', '-');
  return packBundle({ bundleTool: want.bundleTool, description, folder, name, signal });
}

/** Packs what a description names; returns the bundle's path. Several tests may pack the same one at once. */
export async function packBundle(want: {
  readonly bundleTool: string;
  readonly description: object;
  readonly folder: string;
  readonly name: string;
  readonly signal?: AbortSignal;
}): Promise<string> {
  const { bundleTool, description, folder, name, signal = new AbortController().signal } = want;
  const [input, output] = [join(folder, `${name}.${randomUUID()}.json`), join(folder, `${name}.frb`)];
  await writeFile(input, JSON.stringify(description));
  await bundle(bundleTool, ['build', input, output], { signal, onLine: () => undefined });
  await rm(input);
  return output;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// The test programs that run inside a guest (servers-rs/tests): compiled beside the build's own programs and packed into a bundle
// as their manifests say. Everything else in the bundle is what the build made.
import { mkdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Machine } from '../../build/src/testing.ts';
import { artifactsOf, cargoBuild, type Profile, parseTap, run, type TapRun, tapProblems } from '../../build/src/testing.ts';
import { root } from './root.ts';

/** A manifest in servers-rs/tests/suite (`bundle.json`, `with-disk.json`, `data.json`) or in tests/peer (`network.json`). */
export type SuiteManifest = 'bundle' | 'with-disk' | 'data' | 'network';

const programs = ['suite', 'assistant', 'peer'];
let compiled: Promise<string> | undefined;

/** A bundle with the test programs, for this profile's kernel. */
export async function suiteBundle(manifest: SuiteManifest, profile: Profile): Promise<string> {
  compiled ??= compile();
  const folder = await compiled;
  const { kernel, folder: outDir, bundleTool } = artifactsOf(root, profile);
  const from = manifest === 'network' ? 'peer' : 'suite';
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
    components: description.components.map((one: { elf?: string }) =>
      one.elf === undefined ? one : { ...one, elf: elf(one.elf) },
    ),
  };
  const out = join(root, 'out', 'test', 'bundles');
  mkdirSync(out, { recursive: true });
  const [input, output] = [join(out, `suite-${manifest}-${profile}.json`), join(out, `suite-${manifest}-${profile}.frb`)];
  await writeFile(input, JSON.stringify(packed));
  await run(bundleTool, ['build', input, output]);
  return output;
}

async function compile(): Promise<string> {
  const out = join(root, 'out', 'test');
  mkdirSync(out, { recursive: true });
  return cargoBuild({
    root,
    workspace: 'servers-rs',
    packages: programs,
    target: 'x86_64-flatracoon-user.json',
    buildStd: true,
    // Where the build compiles its native programs: what they share is there already.
    targetDir: join(root, 'out', '.cargo', 'servers'),
    logFile: join(out, 'suite.log'),
    onLine: () => undefined,
    signal: new AbortController().signal,
  });
}

/** Waits for the plan that ends a run, and gives what was reported. Errors: the run's problems, with the guest's last lines. */
export async function tapOf(machine: Machine, timeoutMs: number): Promise<TapRun> {
  await machine.console.waitFor(/^1\.\.\d+$/, { timeoutMs });
  const tap = parseTap(machine.console.lines.map((line) => line.text));
  const problems = tapProblems(tap);
  if (problems.length > 0) throw machine.console.failure(problems.join('\n'));
  return tap;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// Two builds of one source in two places give the same image, bit for bit, signatures included.
// The first is the build that `just test` has made in this tree. The second is made here, cold, in a copy of the tree elsewhere, with
// another time zone, locale, umask, home and build cache, and (where faketime is installed) a clock a year ahead. They share the keys,
// node_modules and the tool chain, nothing that was compiled.
//
// It costs one cold build, a few minutes on two cores: most of it is Rust's core library and our own crates, and those are
// what most often breaks reproducibility (paths in panic messages, order of symbols), so nothing of it is left out to be quicker.
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rm, stat, symlink } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { artifactsOf, keyFolder, run } from '../../build/src/testing.ts';
import { root } from '../support/root.ts';

/** Made by a build, or named by the machine: not part of the source. */
const notSource = new Set(['out', 'target', 'node_modules', '.toolchain', 'dist']);
const shared = ['node_modules', '.toolchain'];
let scratch = '';
let copy = '';

beforeAll(async () => {
  expect(existsSync(artifactsOf(root, 'dev').image), 'run `just build-dev` first (`just test` does)').toBe(true);
  scratch = await mkdtemp(join(tmpdir(), 'fr-second-build-'));
  // A path of another length: lengths move offsets where a path leaks.
  copy = join(scratch, 'a folder with a longer name', 'flatracoon');
  await mkdir(copy, { recursive: true });
  for (const name of await readdir(root)) {
    if (!notSource.has(name))
      await cp(join(root, name), join(copy, name), { recursive: true, filter: isSource, verbatimSymlinks: true });
  }
  for (const name of shared) await symlink(join(root, name), join(copy, name));
  // As the crates: downloads come along, what was made of them does not.
  await cp(join(root, 'out/.cache/packages'), join(copy, 'out/.cache/packages'), { recursive: true });
  await cp(join(root, 'build', 'dist'), join(copy, 'build', 'dist'), { recursive: true });
  await build();
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

function isSource(path: string): boolean {
  return !notSource.has(path.split('/').at(-1) ?? '');
}

async function build(): Promise<void> {
  const home = join(scratch, 'home');
  const cargo = join(home, '.cargo');
  await mkdir(cargo, { recursive: true });
  // The registry's downloads come along, so that the second build does not depend on the network. Its path differs all the same.
  const downloads = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'registry');
  if (existsSync(downloads)) await cp(downloads, join(cargo, 'registry'), { recursive: true });
  const clock = existsSync('/usr/bin/faketime') ? ['faketime', '-f', '+400d'] : [];
  const words = [...clock, process.execPath, join(copy, 'build', 'dist', 'run.js'), 'build-dev', '--json'];
  // A shell for its umask alone.
  await run('bash', ['-c', 'umask 0077; exec "$@"', 'bash', ...words], {
    cwd: copy,
    env: {
      HOME: home,
      CARGO_HOME: cargo,
      FR_KEYS: keyFolder(),
      TZ: 'Pacific/Kiritimati',
      LANG: 'tr_TR.UTF-8',
      LC_ALL: 'tr_TR.UTF-8',
      NO_FAKE_STAT: '1',
      SOURCE_DATE_EPOCH: undefined,
      XDG_DATA_HOME: undefined,
    },
    timeoutMs: 1_500_000,
  });
}

/** From what goes in to what comes out, so that the first difference is the cause. */
const artifacts = ['kernel.elf', 'bundle.frb', 'slot.json', 'flatracoon-os.raw', 'flatracoon-os.qcow2', 'manifest.json'];

test('a second build elsewhere, in another time zone, locale, umask and home, is the same bit for bit', async () => {
  const here = artifactsOf(root, 'dev').folder;
  const there = artifactsOf(copy, 'dev').folder;
  const differing: string[] = [];
  for (const name of artifacts) {
    if ((await digest(join(here, name))) !== (await digest(join(there, name)))) {
      differing.push(`${name}: ${await firstDifference(join(here, name), join(there, name))}`);
    }
  }
  expect(differing).toEqual([]);
});

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function firstDifference(one: string, other: string): Promise<string> {
  const [a, b] = [await stat(one), await stat(other)];
  const sizes = a.size === b.size ? `${a.size} bytes both` : `${a.size} and ${b.size} bytes`;
  const { stdout, stderr } = await run('cmp', [one, other], { ok: 'any' });
  return `${sizes}; ${(stdout || stderr).trim()}`;
}

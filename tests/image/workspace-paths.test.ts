// SPDX-License-Identifier: PMPL-1.0-or-later
// Cargo puts the absolute path of a crate outside the workspace into the names of its symbols, and so into every program that has it:
// the same source in another folder would give another image. Links bring such crates inside. This is the quick form of what
// reproducible.test.ts finds in minutes.
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../build/src/testing.ts';
import { root } from '../support/root.ts';

test('no crate depends on a path outside its workspace', async () => {
  const { stdout } = await run('git', ['ls-files', '*Cargo.toml'], { cwd: root });
  const manifests = await Promise.all(
    stdout.split('\n').map(async (path) => ({ path, text: await readFile(join(root, path), 'utf8') })),
  );
  const workspaces = manifests.filter(({ text }) => /^\[workspace\]/mu.test(text)).map(({ path }) => dirname(path));
  const outside = manifests.flatMap(({ path, text }) => {
    const home = workspaces.filter((one) => path.startsWith(`${one}/`)).sort((a, b) => b.length - a.length)[0] ?? '.';
    const targets = [...text.matchAll(/\bpath = "([^"]+)"/gu)].map((match) => match[1] ?? '');
    return targets
      .map((target) => relative(home, resolve('/', dirname(path), target).slice(1)))
      .filter((target) => target.startsWith('..'))
      .map((target) => `${path}: ${target}`);
  });
  // Fuzzers and proofs run on the host and are in no image.
  expect(outside.filter((one) => !/\/(fuzz|proofs)\//u.test(one))).toEqual([]);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// scripts/bootstrap.sh on machines that lack something, each played by a folder of programs that goes first, or alone, on PATH.
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { repositoryRoot, run } from '../../build/src/testing.ts';

let copy = '';
let bin = '';
beforeEach(async () => {
  copy = await mkdtemp(join(tmpdir(), 'set-up-'));
  bin = join(copy, 'bin');
  await mkdir(bin);
  await cp(join(repositoryRoot(), 'scripts'), join(copy, 'scripts'), { recursive: true });
  await cp(join(repositoryRoot(), 'package-lock.json'), join(copy, 'package-lock.json'));
});
afterEach(() => rm(copy, { recursive: true, force: true }));

async function fake(name: string, script: string): Promise<void> {
  await writeFile(join(bin, name), `#!/bin/bash\n${script}\n`);
  await chmod(join(bin, name), 0o755);
}

const setUp = (path = `${bin}:${process.env.PATH}`) =>
  run('/bin/bash', [join(copy, 'scripts/bootstrap.sh')], { env: { PATH: path }, ok: 'any', timeoutMs: 60_000 });

test('without root and without sudo the exact packages are printed, and it stops with 2', async () => {
  await fake('id', 'echo 1000');
  await fake('sudo', 'exit 1');
  await fake('dpkg-query', "printf 'installed git\\ninstalled gcc\\n'");
  await fake('apt-get', 'echo "apt-get must not be called" >&2; exit 9');
  const { code, stderr } = await setUp();
  expect(code).toBe(2);
  expect(stderr).toMatch(/packages are missing and this is neither root nor a user with sudo/);
  const [, packages = ''] = /apt-get update && apt-get install -y --no-install-recommends (.*)/.exec(stderr) ?? [];
  expect(packages.split(' ')).toEqual(expect.arrayContaining(['qemu-system-x86', 'ovmf', 'mtools', 'python3-venv']));
  expect(packages.split(' ')).not.toContain('git');
  expect(stderr).not.toContain('must not be called');
});

test('without apt the packages are named, and it stops with 2', async () => {
  for (const name of ['bash', 'cat', 'cut', 'dirname', 'flock', 'head', 'id', 'mkdir', 'node', 'sha256sum', 'sort'])
    await symlink((await run('bash', ['-c', `type -P ${name}`])).stdout, join(bin, name));
  const { code, stderr } = await setUp(bin);
  expect(code).toBe(2);
  expect(stderr).toMatch(/this machine has no apt[\s\S]*qemu-system-x86[\s\S]*ca-certificates/);
});

test('an old Node is refused with the version that is needed', async () => {
  await fake('node', 'echo 18.19.0');
  const { code, stderr } = await setUp();
  expect(code).toBe(2);
  expect(stderr).toMatch(/Node 18\.19\.0 is too old: 20\.19\.0 or newer is needed/);
});

test('a package that apt cannot install is told with the last lines of apt', async () => {
  await fake('dpkg-query', 'exit 1');
  await fake('apt-get', 'case "$*" in *install*) echo "E: Unable to locate package ovmf" >&2; exit 100;; esac');
  await fake('id', 'echo 0');
  const { code, stderr } = await setUp();
  expect(code).toBe(2);
  expect(stderr).toMatch(/apt-get could not install them[\s\S]*E: Unable to locate package ovmf[\s\S]*The packages are:/);
});

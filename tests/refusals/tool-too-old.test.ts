// SPDX-License-Identifier: PMPL-1.0-or-later
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { orchestrate } from '../support/config.ts';

/** What `command` says when `program` is a stand-in that prints `version`. */
async function withOld(program: string, version: string, command: string) {
  const folder = await mkdtemp(join(tmpdir(), 'old-'));
  const fake = join(folder, program);
  await writeFile(fake, `#!/bin/sh\necho "${version}"\n`);
  await chmod(fake, 0o755);
  const ended = await orchestrate([command], { PATH: `${folder}:${process.env.PATH}` });
  await rm(folder, { recursive: true });
  return ended;
}

test('a program that is too old is told by the doctor, with the version that is needed, and ends with 2', async () => {
  const ended = await withOld('qemu-system-x86_64', 'QEMU emulator version 4.2.1', 'doctor');
  expect(ended.code).toBe(2);
  expect(ended.stdout).toMatch(/^TOO OLD +qemu-system-x86_64 +QEMU emulator version 4\.2\.1$/m);
  expect(ended.stdout).toMatch(/qemu-system-x86_64 \(too old\): 7\.2 or newer is needed: .*apt-get install qemu-system-x86/);
});

test('a build refuses to begin with a program that is too old, and ends with 2', async () => {
  const ended = await withOld('qemu-img', 'qemu-img version 5.2.0', 'build-dev');
  expect(ended.code).toBe(2);
  expect(ended.stderr).toMatch(/error\[machine\/program-too-old\]: the program `qemu-img` is too old: qemu-img version 5\.2\.0/);
  expect(ended.stderr).toMatch(/7\.2 or newer is needed: .*apt-get install qemu-utils/);
  expect(ended.stdout + ended.stderr).not.toMatch(/^ {2}start /m);
});

test('a run refuses to begin with an emulator that is too old, and ends with 2', async () => {
  const ended = await withOld('qemu-system-x86_64', 'QEMU emulator version 4.2.1', 'run-qemu');
  expect(ended.code).toBe(2);
  expect(ended.stderr).toMatch(/error\[machine\/program-too-old\]: the program `qemu-system-x86_64` is too old/);
});

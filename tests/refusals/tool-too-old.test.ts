// SPDX-License-Identifier: PMPL-1.0-or-later
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { orchestrate } from '../support/config.ts';

test('a program that is too old is told by the doctor, with the version that is needed, and ends with 2', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'old-'));
  const fake = join(folder, 'qemu-system-x86_64');
  await writeFile(fake, '#!/bin/sh\necho "QEMU emulator version 4.2.1"\n');
  await chmod(fake, 0o755);
  const ended = await orchestrate(['doctor'], { PATH: `${folder}:${process.env.PATH}` });
  await rm(folder, { recursive: true });
  expect(ended.code).toBe(2);
  expect(ended.stdout).toMatch(/^TOO OLD +qemu-system-x86_64 +QEMU emulator version 4\.2\.1$/m);
  expect(ended.stdout).toMatch(/qemu-system-x86_64 \(too old\): 7\.2 or newer is needed: .*apt-get install qemu-system-x86/);
});

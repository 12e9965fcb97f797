// SPDX-License-Identifier: PMPL-1.0-or-later
// Guests of a few bytes, so that the harness can be tested without a system: they print, wait, crash or end as they are told.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { code, pvhElf } from '../../build/src/testing.ts';

/** Writes a kernel that does `steps` in order and then sleeps; gives its path. Words for steps: `code` of the harness. */
export async function standInKernel(folder: string, ...steps: readonly (readonly number[])[]): Promise<string> {
  const path = join(folder, 'stand-in.elf');
  await writeFile(path, pvhElf(Uint8Array.from([...steps.flat(), ...code.halt()])));
  return path;
}

export { code as does };

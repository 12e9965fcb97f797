// SPDX-License-Identifier: PMPL-1.0-or-later
// The reference page of the kernel's operations says what the table says (kernel-rs/abi/examples/operations.rs makes it).
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../toolchain/exec.ts';
import { cargoHost } from '../toolchain/host.ts';
import { type CheckContext, type Outcome, outcome } from './check.ts';

const page = 'docs/reference/operations.adoc';

export async function operations({ root, signal, fix }: CheckContext): Promise<Outcome> {
  const { cargo, env } = cargoHost(root);
  const made = await run(cargo, ['run', '--quiet', '--locked', '-p', 'abi', '--example', 'operations'], {
    cwd: join(root, 'kernel-rs'),
    env,
    signal,
  });
  // `run` takes the last newline off.
  const wanted = `${made.stdout}\n`;
  if (fix) await writeFile(join(root, page), wanted);
  return outcome(differences(await readFile(join(root, page), 'utf8').catch(() => ''), wanted));
}

/** Nothing, or the first line that differs. */
export function differences(found: string, wanted: string): string[] {
  const [is, shall] = [found.split('\n'), wanted.split('\n')];
  const at = shall.findIndex((line, n) => line !== is[n]);
  if (at < 0 && is.length === shall.length) return [];
  const line = (at < 0 ? shall.length : at) + 1;
  return [`${page}:${line} is not what kernel-rs/abi/src/op.rs says; \`just check --fix\` writes it again`];
}

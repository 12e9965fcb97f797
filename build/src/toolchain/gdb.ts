// SPDX-License-Identifier: PMPL-1.0-or-later
// The debugger, for one errand at a machine that has a stub for it.
import { run } from './exec.ts';

/** Attaches to `target`, gives the commands, lets the machine go on; what it said. Errors: those of `run`. */
export async function debug(
  program: string,
  target: string,
  script: string,
  commands: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const steps = [`target remote ${target}`, ...commands, 'detach'].flatMap((command) => ['-ex', command]);
  return (await run('gdb', ['-batch', '-nx', '-x', script, program, ...steps], { signal })).stdout;
}

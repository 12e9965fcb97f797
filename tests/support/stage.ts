// SPDX-License-Identifier: PMPL-1.0-or-later
// Machines whose first program is a test program (servers-rs/tests/stage): the kernel and nothing else.
import { join } from 'node:path';
import { artifactsOf, type Machine, type Profile, stageBundle } from '../../build/src/testing.ts';
import type { Direct, DirectOptions } from './direct.ts';
import { root } from './root.ts';

export interface StageOptions extends Omit<DirectOptions, 'bundle' | 'disk'> {
  /** Arguments of the program. */
  readonly args?: readonly string[];
}

/** Boots `program`, waits for its last line, which must be `PROGRAM end`, and gives the machine. */
export async function stageRun(direct: Direct, program: string, options: StageOptions, timeoutMs: number): Promise<Machine> {
  const { args = [], profile = 'dev', ...machine } = options;
  const bundle = await stage(program, profile, args);
  const started = await direct.start({ ...machine, profile, bundle, disk: 'none' });
  const [, end, why] = await started.console.waitFor(new RegExp(`^${program} (end|failed: (.*))$`), { timeoutMs });
  if (end !== 'end') throw started.console.failure(`${program}: ${why}`);
  return started;
}

/** The bundle alone. */
export function stage(program: string, profile: Profile, args: readonly string[]): Promise<string> {
  const { kernel, bundleTool } = artifactsOf(root, profile);
  return stageBundle({ root, program, profile, args, kernel, bundleTool, folder: join(root, 'out', 'test', 'stage') });
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// sgdisk (gptfdisk): only to check tables that we wrote ourselves. Nothing here changes a disk.

import { run } from './exec.ts';

/** What `sgdisk -v` said: its problems as lines, none for a whole table. */
export async function verifyTable(disk: string): Promise<readonly string[]> {
  const { stdout, stderr } = await run('sgdisk', ['--verify', disk], { ok: 'any' });
  if (/^No problems found\./mu.test(stdout)) return [];
  return `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
}

/** `sgdisk -i`'s fields of one partition by their English names, as `Partition name`. */
export async function partitionInfo(disk: string, number: number): Promise<Readonly<Record<string, string>>> {
  const { stdout } = await run('sgdisk', [`--info=${number}`, disk]);
  const pairs = [...stdout.matchAll(/^([^:\n]+): (.*)$/gmu)].map((match) => [match[1] ?? '', match[2] ?? ''] as const);
  return Object.fromEntries(pairs);
}

/** The table as sgdisk prints it. */
export async function printTable(disk: string): Promise<string> {
  return (await run('sgdisk', ['--print', disk])).stdout;
}

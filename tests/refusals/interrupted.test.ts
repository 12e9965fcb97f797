// SPDX-License-Identifier: PMPL-1.0-or-later
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../../build/src/testing.ts';

/** Processes whose parent is `pid`. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((one) => {
      try {
        const stat = readFileSync(`/proc/${one}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
      } catch {
        return false;
      }
    });
}

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends the children too, with exit code 130', async (signal) => {
  const root = repositoryRoot();
  const child = spawn(process.execPath, [join(root, 'build/dist/run.js'), 'check', '--only', 'types'], { cwd: root });
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  let children: number[] = [];
  while (children.length === 0 && child.exitCode === null) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    children = childrenOf(child.pid ?? 0);
  }
  child.kill(signal);
  expect(await ended).toBe(130);
  expect(text).toMatch(/interrupted: nothing half-written is used/);
  for (const one of children) expect(() => process.kill(one, 0), `process ${one} outlived it`).toThrow();
});

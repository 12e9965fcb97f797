// SPDX-License-Identifier: PMPL-1.0-or-later
// Where the kernel keeps to its limits (servers-rs/tests/limits): how it ends, translations that were taken away, budgets, no ticks.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { run } from '../../build/src/testing.ts';
import { soon } from '../support/computer.ts';
import { artifact, it } from '../support/direct.ts';
import { stage, stageRun } from '../support/stage.ts';

const failures = [
  { trial: 0, cause: 'stack-overflow', message: /stack overflowed/ },
  { trial: 1, cause: 'exception', message: /page fault/ },
  { trial: 2, cause: 'double-fault', message: /double fault/ },
  { trial: 3, cause: 'exception', message: /invalid opcode/ },
  { trial: 4, cause: 'panic', message: /asked to fail/ },
] as const;

/** The machine stopped with one line of JSON, and did not reset. */
async function ended(machine: Awaited<ReturnType<typeof stageRun>>, cause: string, message: RegExp) {
  const [, json] = await machine.console.waitFor(/^KERNEL-PANIC (\{.*\})$/, soon);
  expect(JSON.parse(json!)).toMatchObject({ cause, message: expect.stringMatching(message), cpu: expect.any(Number) });
  await expect(machine.event('SHUTDOWN', 1_000)).rejects.toThrow('did not come');
  expect(machine.console.seen(/^KERNEL-PANIC/)).toHaveLength(1);
}

describe('a kernel that cannot go on says why', () => {
  it.for(failures)('$cause, trial $trial', async ({ trial, cause, message }, { direct }) => {
    const bundle = await stage('limits', 'dev', [`trial=${trial}`]);
    await ended(await direct.start({ bundle, disk: 'none', cpus: 2, expected: ['kernel-panic'] }), cause, message);
  });

  const outside = [
    { cause: 'nmi', command: 'nmi', message: /non-maskable interrupt/ },
    // Bank 1: valid, uncorrected, enabled, address in it.
    { cause: 'machine-check', command: 'mce 0 1 0xb200000000000005 0x4 0x1234 0', message: /bank 1, status 0xb2/ },
  ] as const;
  it.for(outside)('$cause, from the hardware', async ({ cause, command, message }, { direct }) => {
    const bundle = await stage('limits', 'dev', ['trial=13', 'ns=60000000000']);
    const machine = await direct.start({ bundle, disk: 'none', cpus: 2, expected: ['kernel-panic'] });
    await machine.console.waitFor(/MiB free/, soon);
    await machine.control('human-monitor-command', { 'command-line': command });
    await ended(machine, cause, message);
  });
});

/** Interrupts that the CPU took, exceptions not counted, in a run that waits for so long and does nothing else; time is counted in instructions. */
async function interruptsOf(folder: string, idleNs: number): Promise<number> {
  const initrd = await stage('limits', 'dev', ['trial=13', `ns=${idleNs}`, 'reset']);
  const log = join(folder, `interrupts-${idleNs}`);
  const machine = ['-M', 'q35', '-cpu', 'max', '-accel', 'tcg', '-icount', 'shift=0,sleep=off', '-m', '256', '-nodefaults'];
  const boot = ['-display', 'none', '-no-reboot', '-kernel', artifact('kernel'), '-initrd', initrd, '-d', 'int', '-D', log];
  await run('qemu-system-x86_64', [...machine, ...boot, '-serial', 'none'], { signal: AbortSignal.timeout(120_000) });
  return (await readFile(log, 'utf8')).match(/^ *\d+: v=[2-9a-f][0-9a-f] /gm)?.length ?? 0;
}

describe('the kernel keeps to its limits', () => {
  it('an idle CPU has no ticks: ten seconds cost a few interrupts more than a tenth of one', async ({ direct }) => {
    const short = await interruptsOf(direct.folder, 100_000_000);
    expect(short).toBeGreaterThan(0);
    // The timer's counter of 32 bits has to be set again every few seconds; ticks would be a thousand.
    expect(await interruptsOf(direct.folder, 10_000_000_000)).toBeLessThanOrEqual(short + 4);
  });

  it.for([2, 4])('no write arrives after its page was taken away, on %i CPUs', async (cpus, { direct }) => {
    const args = ['trial=10', `writers=${cpus - 1}`];
    const { console } = await stageRun(direct, 'limits', { cpus, args }, 120_000);
    expect(console.seen(/^limits shootdown rounds 200 faults [1-9]/)).toHaveLength(1);
  });

  // Time is counted in instructions here: a share does not depend on how busy the host is.
  it.for([
    ['10 ms in 100 ms are a tenth beside a busy neighbour', 'trial=11'],
    ['a budget and a priority go through a chain of three servers', 'trial=12'],
  ] as const)('%s', async ([, trial], { direct }) => {
    await stageRun(direct, 'limits', { cpus: 1, args: [trial], icount: true }, 180_000);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// Where the kernel keeps to its limits (servers-rs/tests/limits): how it ends, translations that were taken away, budgets.
import { describe, expect } from 'vitest';
import { soon } from '../support/computer.ts';
import { it } from '../support/direct.ts';
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

describe('the kernel keeps to its limits', () => {
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

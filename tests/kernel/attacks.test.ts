// SPDX-License-Identifier: PMPL-1.0-or-later
// Attacks that need real paging, real faults and several CPUs (servers-rs/tests/attacks): each is a row of its TAP report.
import { describe, expect } from 'vitest';
import type { Profile } from '../../build/src/testing.ts';
import { it } from '../support/direct.ts';
import { stage } from '../support/stage.ts';
import { tapOf } from '../support/suite.ts';

/** Control register 4, Intel SDM volume 3, 2.5: what keeps the kernel from running or touching user memory, and user code from asking. */
const guards = { UMIP: 1n << 11n, SMEP: 1n << 20n, SMAP: 1n << 21n };

describe('attacks', () => {
  for (const [profile, cpus] of [
    ['dev', 2],
    ['prod', 4],
  ] as const satisfies readonly (readonly [Profile, number])[]) {
    it(`do not get through, ${profile} kernel, ${cpus} CPUs`, async ({ direct }) => {
      const machine = await direct.start({ profile, cpus, bundle: await stage('attacks', profile, []), disk: 'none' });
      const { tests } = await tapOf(machine, 600_000);
      expect(tests.length).toBeGreaterThanOrEqual(14);
      for (let cpu = 0; cpu < cpus; cpu += 1) {
        const text = String(
          await machine.control('human-monitor-command', { 'command-line': 'info registers', 'cpu-index': cpu }),
        );
        const cr4 = BigInt(`0x${/CR4=([0-9a-f]+)/.exec(text)?.[1]}`);
        for (const [name, bit] of Object.entries(guards)) expect(cr4 & bit, `CPU ${cpu}: ${name}`).toBe(bit);
      }
    });
  }
});

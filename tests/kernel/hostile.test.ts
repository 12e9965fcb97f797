// SPDX-License-Identifier: PMPL-1.0-or-later
// Five million calls with random registers against each kernel (servers-rs/tests/hostile): its own errors or the caller's own death,
// a neighbour that notices nothing, every frame back in the end. The seeds of a run are printed; `seed=` repeats them.
import { describe, expect } from 'vitest';
import type { Profile } from '../../build/src/testing.ts';
import { it } from '../support/direct.ts';
import { stageRun } from '../support/stage.ts';

const calls = 2_500_000;

describe('a program that calls the kernel with anything', () => {
  for (const profile of ['dev', 'prod'] as const satisfies Profile[]) {
    for (const [cpus, seed] of [
      [2, 1],
      [4, 100_000],
    ] as const) {
      it(`harms nobody but itself, ${profile} kernel, ${cpus} CPUs`, async ({ direct }) => {
        const args = [`calls=${calls}`, `seed=${seed}`];
        const machine = await stageRun(direct, 'hostile', { profile, cpus, args }, 600_000);
        const [done = ''] = machine.console.seen(/^hostile done calls \d+ seeds /);
        expect(Number(done.split(' ')[3])).toBeGreaterThanOrEqual(calls);
      });
    }
  }
});

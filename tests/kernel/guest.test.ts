// SPDX-License-Identifier: PMPL-1.0-or-later
// Guest execution: a static Linux program runs on the host's Linux first, then the same file under a test personality on our
// kernel; what guests, siblings and a lying state page try besides stands in servers-rs/tests/guest, here it is run and counted.
import { describe, expect } from 'vitest';
import { type BadSignName, run } from '../../build/src/testing.ts';
import { inFolder, it } from '../support/direct.ts';
import { long } from '../support/samples.ts';
import { guestProgram, suiteBundle, tapOf } from '../support/suite.ts';

const onPurpose: readonly BadSignName[] = ['test-not-ok'];
/** A lost kick shows in one of many: a hundred thousand in a long run. */
const args = [`kicks=${long ? 100_000 : 4_000}`];
/** Each kick goes from one CPU's thread of the emulator to another and back. */
const limitMs = long ? 3_600_000 : 240_000;

describe('a static Linux program', () => {
  it('says hello and exits with 42 on the host', async ({ direct }) => {
    const path = inFolder(direct, 'guest-program');
    await guestProgram(path);
    const { stdout, code } = await run(path, [], { ok: 'any' });
    expect({ stdout: stdout.trim(), code }).toEqual({ stdout: 'hello from a guest', code: 42 });
  });

  it.for([1, 2])(
    'does the same as a guest, and no attack succeeds, on %i CPUs',
    { timeout: limitMs },
    async (cpus, { direct }) => {
      const bundle = await suiteBundle('guest', 'dev', args);
      const machine = await direct.start({ bundle, disk: 'none', cpus, expected: onPurpose });
      const { tests } = await tapOf(machine, limitMs);
      expect(tests.map((test) => test.name)).toContain('a static Linux program says hello and exits with 42');
      expect(tests.filter((test) => test.name.startsWith('attack: ')).length).toBeGreaterThanOrEqual(13);
    },
  );
});

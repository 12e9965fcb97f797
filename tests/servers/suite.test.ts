// SPDX-License-Identifier: PMPL-1.0-or-later
// The tests that run inside the guest: kernel operations, messages, faults, memory, servers that die and come back.
// What each of them promises stands in servers-rs/tests/suite; here they are run on one and two CPUs, and counted.
import { describe, expect } from 'vitest';
import type { BadSignName } from '../../build/src/testing.ts';
import { it } from '../support/direct.ts';
import { suiteBundle, tapOf } from '../support/suite.ts';

/** The suite makes programs die on purpose; the kernel and its own verdict must stay well. */
const onPurpose: readonly BadSignName[] = ['server-fault', 'server-panic', 'capability-fault', 'test-not-ok'];

describe.concurrent('the suite in the guest', () => {
  it.for([1, 2])('passes on %i CPUs', async (cpus, { direct }) => {
    const machine = await direct.start({ bundle: await suiteBundle('bundle', 'dev'), disk: 'none', cpus, expected: onPurpose });
    const { tests } = await tapOf(machine, 120_000);
    expect(tests.length).toBeGreaterThan(20);
  });

  it.for([1, 2])('passes with disk and drivers on %i CPUs', async (cpus, { direct }) => {
    const machine = await direct.start({ bundle: await suiteBundle('with-disk', 'dev'), cpus, expected: onPurpose });
    const { tests } = await tapOf(machine, 180_000);
    expect(tests.map((test) => test.name)).toContain(
      'a driver that dies is restarted within a second and its reader loses nothing',
    );
  });

  it('reports each fault in a line of JSON that names the component', async ({ direct }) => {
    const machine = await direct.start({ bundle: await suiteBundle('bundle', 'dev'), disk: 'none', expected: onPurpose });
    await tapOf(machine, 120_000);
    const faults = machine.console.seen(/^SERVER-FAULT /).map((line) => JSON.parse(line.slice('SERVER-FAULT '.length)));
    // Not every death is a fault: an exit has a code instead of an address.
    const byFault = faults.filter((fault) => fault.cause === 'page fault');
    expect(byFault.length).toBeGreaterThan(0);
    for (const fault of byFault) {
      expect(fault).toMatchObject({
        name: 'assistant',
        address: expect.stringMatching(/^0x/),
        rip: expect.stringMatching(/^0x/),
      });
    }
    expect(faults.filter((fault) => fault.cause === 'exit').map((fault) => fault.code)).toContain(101);
  });
});

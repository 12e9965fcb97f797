// SPDX-License-Identifier: PMPL-1.0-or-later
// With a TPM the loader measures what it is about to run; without one it says so and boots all the same.
import { describe, expect } from 'vitest';
import { boots, it } from '../support/computer.ts';

describe.concurrent('the loader', () => {
  it('measures kernel, bundle and commit where there is a TPM', async ({ computer }) => {
    const machine = await (await computer()).start({ tpm: true });
    await machine.console.waitFor(/^loader: boot slot=A /, boots);
    const measured = machine.console
      .seen(/^loader: tpm measured /)
      .map((line) => /measured (.+) bytes=(\d+) pcr=(\d+)$/.exec(line)!.slice(1));
    expect(measured.map(([name, , pcr]) => `${name} ${pcr}`)).toEqual([
      '/boot/kernel.elf 11',
      '/boot/bundle.frb 11',
      'commit 12',
    ]);
    const [read] = machine.console.seen(/^loader: read kernel=/);
    for (const [, bytes] of measured.slice(0, 2)) expect(read).toContain(`=${bytes} `);
    await machine.console.waitFor(/^flatracoon: ready /, boots);
  });

  it('says so where there is none', async ({ computer }) => {
    const machine = await (await computer()).start();
    await machine.console.waitFor(/^loader: tpm none/, boots);
    await machine.console.waitFor(/^loader: boot slot=A /, boots);
  });
});

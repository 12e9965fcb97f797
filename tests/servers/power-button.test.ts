// SPDX-License-Identifier: PMPL-1.0-or-later
// The power button: a press ends everything in order, and the machine is off.
import { describe, expect } from 'vitest';
import { it } from '../support/direct.ts';

describe('the power button', () => {
  it('turns the machine off, and the last line says so', async ({ direct }) => {
    const machine = await direct.start({ cpus: 2 });
    await machine.console.waitFor(/^flatracoon: ready /, { timeoutMs: 60_000 });
    await machine.control('system_powerdown');
    await machine.console.waitFor(/^flatracoon: powering off$/, { timeoutMs: 30_000 });
    expect((await machine.ended).code).toBe(0);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// Under Secure Boot the firmware starts our signed loader and nothing else.
import { describe, expect } from 'vitest';
import { boots, it } from '../support/computer.ts';
import { loaderOf, replaceLoader, unsigned } from '../support/esp.ts';

describe.concurrent('Secure Boot', () => {
  it('refuses a loader without a signature', async ({ computer }) => {
    const node = await computer({ secureBoot: true });
    await replaceLoader(node.disk, unsigned(await loaderOf(node.disk)));
    const machine = await node.start({ expected: ['firmware-shell'] });
    await machine.console.waitFor(/Access Denied|Security Violation|No bootable option/i, boots);
    expect(machine.console.seen(/^loader: /)).toEqual([]);
  });

  it('refuses a loader with one changed byte', async ({ computer }) => {
    const node = await computer({ secureBoot: true });
    const loader = await loaderOf(node.disk);
    // In the middle of the code, which the signature covers.
    const at = Math.floor(loader.byteLength / 3);
    loader[at] = loader[at]! ^ 1;
    await replaceLoader(node.disk, loader);
    const machine = await node.start({ expected: ['firmware-shell'] });
    await machine.console.waitFor(/Access Denied|Security Violation|No bootable option/i, boots);
    expect(machine.console.seen(/^loader: /)).toEqual([]);
  });

  it('is what made the difference: the unsigned loader runs without it', async ({ computer }) => {
    const node = await computer();
    await replaceLoader(node.disk, unsigned(await loaderOf(node.disk)));
    const machine = await node.start();
    await machine.console.waitFor(/^loader: boot slot=A/, boots);
  });
});

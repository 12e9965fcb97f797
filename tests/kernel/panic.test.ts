// SPDX-License-Identifier: PMPL-1.0-or-later
// A kernel that cannot go on says why, in a line that a machine can read, and stops: no reset, no loop.
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { soon } from '../support/computer.ts';
import { artifact, inFolder, it } from '../support/direct.ts';

const damages: readonly (readonly [string, (bundle: Buffer) => Buffer])[] = [
  ['that is not one', () => Buffer.alloc(8192, 0x5a)],
  ['cut off in its head', (bundle) => bundle.subarray(0, 64)],
  ['cut in half', (bundle) => bundle.subarray(0, Math.floor(bundle.byteLength / 2))],
  ['with a wrong first byte', (bundle) => Buffer.concat([Buffer.from([bundle[0]! ^ 0xff]), bundle.subarray(1)])],
];

describe.concurrent('the kernel panics with one line of JSON', () => {
  it.for(damages)('for a bundle %s', async ([, damage], { direct }) => {
    const bundle = inFolder(direct, 'damaged.frb');
    await writeFile(bundle, damage(await readFile(artifact('bundle'))));
    const machine = await direct.start({ bundle, disk: 'none', expected: ['kernel-panic'] });
    const [, json] = await machine.console.waitFor(/^KERNEL-PANIC (\{.*\})$/, soon);
    expect(JSON.parse(json!)).toMatchObject({ cause: 'panic', message: expect.stringMatching(/bundle/), cpu: 0 });
    await expect(machine.event('SHUTDOWN', 1_000)).rejects.toThrow('did not come');
    expect(machine.console.seen(/^KERNEL-PANIC/)).toHaveLength(1);
  });

  it('without a bundle', async ({ direct }) => {
    const { console } = await direct.start({ bundle: 'none', disk: 'none', expected: ['kernel-panic'] });
    const [, json] = await console.waitFor(/^KERNEL-PANIC (\{.*\})$/, soon);
    expect(JSON.parse(json!)).toMatchObject({ cause: 'panic', message: expect.stringMatching(/bundle/) });
  });
});

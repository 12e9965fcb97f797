// SPDX-License-Identifier: PMPL-1.0-or-later
// Every component of the real manifest dies a hundred times, at random instructions, while it is called. `just test-long`
// takes more of them and flips bits, `just bench heal` tells the times.
import { describe, expect } from 'vitest';
import {
  artifactsOf,
  Disk,
  healBundle,
  healEnds,
  healFigures,
  missedHealing,
  parseHeal,
  prepareBuild,
} from '../../build/src/testing.ts';
import { inFolder, it } from '../support/direct.ts';
import { imageForTests } from '../support/image.ts';
import { root } from '../support/root.ts';
import { long } from '../support/samples.ts';

const [kills, faults] = long ? [1000, 300] : [100, 0];
const limitMs = long ? 7_200_000 : 900_000;

describe('components that are killed and corrupted', () => {
  it('come back in time, leave nothing behind, and take nobody with them', { timeout: limitMs }, async ({ direct, signal }) => {
    const { config } = await prepareBuild({ root, profile: 'dev', release: false, signal });
    const bundle = await healBundle({
      root,
      config,
      artifacts: artifactsOf(root, 'dev'),
      kills,
      faults,
      seed: 1,
      folder: inFolder(direct, 'heal'),
    });
    const { console } = await direct.start({
      bundle,
      icount: true,
      networks: [{ address: '52:54:00:12:34:56' }],
      memoryMiB: 512,
      expected: ['server-fault', 'server-panic', 'capability-fault'],
    });
    const [, end, why] = await console.waitFor(healEnds, { timeoutMs: limitMs });
    expect(why ?? end).toBe('end');
    const results = parseHeal(console.lines.map(({ text }) => text));
    expect(results.kills.map((one) => one.kills)).toEqual(results.kills.map(() => kills));
    expect(results.kills.map((one) => one.name)).toEqual(
      expect.arrayContaining(['uart', 'virtio-blk', 'random', 'virtio-net', 'network', 'storage', 'process']),
    );
    expect(missedHealing(healFigures(results))).toEqual([]);
  });
});

describe('a process server that does not hold', () => {
  it('gives up even a confirmed slot before the machine is reset, if there is another', async ({ direct, signal }) => {
    const { config } = await prepareBuild({ root, profile: 'dev', release: false, signal });
    const folder = inFolder(direct, 'heal');
    const artifacts = artifactsOf(root, 'dev');
    const bundle = await healBundle({ root, config, artifacts, kills: 0, faults: 0, seed: 1, ends: 5, folder });
    const disk = await Disk.over(await imageForTests('both', 'dev'), direct.folder, 'both');
    const machine = await direct.start({ bundle, disk, expected: ['guest-reset'] });
    await machine.console.waitFor(/^root: process died 4 times/, { timeoutMs: 120_000 });
    await machine.console.waitFor(/^root: the slot is given up; the other one is next$/, { timeoutMs: 60_000 });
    await machine.ended;
    expect(await disk.slot('A')).toMatchObject({ tries: 0, successful: false });
    expect(await disk.slot('B')).toMatchObject({ successful: true });
    expect((await disk.table()).faults).toEqual([]);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// Kernel and bundle without firmware come up as they do behind the loader: the quick way of every test below the boot chain.
import { describe, expect } from 'vitest';
import { soon } from '../support/computer.ts';
import { it } from '../support/direct.ts';

describe.concurrent('kernel and bundle', () => {
  it.for([
    { cpus: 1, memoryMiB: 256 },
    { cpus: 2, memoryMiB: 256 },
    { cpus: 4, memoryMiB: 1024 },
    { cpus: 2, memoryMiB: 4096 },
  ])('are ready on $cpus CPUs with $memoryMiB MiB', async ({ cpus, memoryMiB }, { direct }) => {
    const { console } = await direct.start({ cpus, memoryMiB });
    await console.waitFor(/^flatracoon: ready version=\S+ slot=A boot_ms=\d+/, soon);
    // The program of the verity root ran: the disk was mounted through the digest of the command line.
    expect(console.seen(/hello/).length).toBeGreaterThan(0);
  });

  it('of production are ready too', async ({ direct }) => {
    const { console } = await direct.start({ profile: 'prod' });
    await console.waitFor(/^flatracoon: ready version=\S+ slot=A/, soon);
  });
});

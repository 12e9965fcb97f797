// SPDX-License-Identifier: PMPL-1.0-or-later
// What a death on the way of a connection is to the two at its ends.
import { describe, expect } from 'vitest';
import { giveAddresses, guestPeer as host, it, withAddresses } from '../support/network.ts';

describe('a connection', () => {
  it('outlives ten deaths of the driver under it, and loses no byte', async ({ network }) => {
    const machine = await withAddresses(network, { expected: ['server-fault'] });
    const linux = await network.linux();
    const count = 3_000_000;
    const transfer = linux.do('source', { host, count });
    for (let death = 0; death < 10; death += 1) {
      // The answer waits for the new driver as well, since it takes the same way.
      expect(await linux.do('end', { host, name: 'virtio-net' })).toEqual({ said: 'Some(Ok(()))' });
      await machine.console.waitFor(/^network: there is a driver again$/, { timeoutMs: 20_000 });
    }
    expect(await transfer).toEqual({ got: count, wrong: 0 });
  });
});

describe('the network server', () => {
  it('takes new connections after its own death', async ({ network }) => {
    const machine = await withAddresses(network, { expected: ['server-fault'] });
    const linux = await network.linux();
    const gone = linux.do('end', { host, name: 'network' }).catch(() => 'lost');
    await machine.console.waitFor(/^peer: listens on /, { timeoutMs: 20_000 });
    await giveAddresses(network, machine);
    await gone;
    expect(await linux.do('echo', { host, say: 'again' })).toEqual({ said: 'again' });
  });
});

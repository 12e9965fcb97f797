// SPDX-License-Identifier: PMPL-1.0-or-later
// Connections between a native program and Linux: bytes both ways on a good and a bad wire, many at once, a peer that vanishes.
import { describe, expect } from 'vitest';
import { hostAddress } from '../support/linux-host.ts';
import { guestPeer, it, type Network, withAddresses } from '../support/network.ts';
import { long } from '../support/samples.ts';

/** `just test-long` moves as much as the promise says. */
const transfer = long ? 100_000_000 : 4_000_000;
const host = guestPeer;

interface Sunk {
  readonly said: string;
  readonly expected: string;
}

async function bothWays(network: Network, count: number): Promise<void> {
  const linux = await network.linux();
  const sunk = await linux.do<Sunk>('sink', { host, count });
  expect(sunk.said).toBe(sunk.expected);
  expect(await linux.do('source', { host, count })).toEqual({ got: count, wrong: 0 });
}

describe('a native program and Linux', () => {
  it('exchange bytes in both directions, whoever calls', async ({ network }) => {
    await withAddresses(network);
    await bothWays(network, transfer);
    const linux = await network.linux();
    expect(await linux.do('echo', { host, say: 'hello' })).toEqual({ said: 'hello' });
    expect(await linux.do('datagram', { host, say: 'a datagram' })).toEqual({ said: 'a datagram' });
    expect(await linux.do('called', { host, own: hostAddress, count: 300_000 })).toEqual({ said: 'ok 300000' });
  });

  it('lose nothing on a wire that loses one frame of twenty and swaps others', async ({ network }) => {
    await withAddresses(network);
    network.wire.fault = { loss: 0.05, reorder: 0.05, seed: 7 };
    await bothWays(network, long ? 10_000_000 : 500_000);
    expect(network.wire.lost).toBeGreaterThan(20);
  });

  it('keep 200 connections at once', async ({ network }) => {
    await withAddresses(network);
    const linux = await network.linux();
    expect(await linux.do('many', { host, count: 200 })).toEqual({ right: 200 });
    expect(await linux.do('echo', { host, say: 'still here' })).toEqual({ said: 'still here' });
  });

  it('part when the wire is cut, and meet again', async ({ network }) => {
    await withAddresses(network);
    const linux = await network.linux();
    const cut = linux.do('source', { host, count: 50_000_000 }).catch(() => 'lost');
    setTimeout(() => {
      network.wire.isCut = true;
    }, 300);
    setTimeout(() => {
      network.wire.isCut = false;
    }, 1500);
    expect(await linux.do('echo', { host, say: 'back' })).toEqual({ said: 'back' });
    void cut;
  });
});

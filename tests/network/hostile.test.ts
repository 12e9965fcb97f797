// SPDX-License-Identifier: PMPL-1.0-or-later
// Frames that mean harm: whatever comes, nobody dies, memory stays bounded, and a connection that exists goes on.
import { describe, expect } from 'vitest';
import { advert, echo, frame, guestLink, icmpFrame, routerAdvert, solicit, tcpFrame } from '../support/frames.ts';
import { guestPeer, it, type Network, withAddresses } from '../support/network.ts';

const host = guestPeer;
/** The emulator takes no frame without a whole header. */
const shortest = 14;
const hex = (n: number) => n.toString(16);

/** A connection ticks while `harm` is done; afterwards all is as before. */
async function endures(network: Network, harm: (round: number) => readonly Buffer[], rounds = 100): Promise<void> {
  const machine = await withAddresses(network);
  const linux = await network.linux();
  const steady = linux.do<{ worst: number }>('steady', { host, ticks: 100 });
  for (let round = 0; round < rounds; round += 1) {
    network.wire.say(...harm(round));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await steady;
  expect(await linux.do('echo', { host, say: 'well' })).toEqual({ said: 'well' });
  expect(await machine.status()).toBe('running');
}

/** The same bytes for the same seed. */
function noise(seed: number, length: number): Buffer {
  let state = seed * 2 + 1;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  };
  return Buffer.from(Array.from({ length }, next));
}

describe('a connection goes on', () => {
  it('under frames of noise, cut off and with wrong lengths', async ({ network }) => {
    await endures(network, (round) => {
      const good = [echo(1, noise(round, 100)), routerAdvert({ prefix: 'fd00:9::' }), solicit(guestLink)];
      const bad = good.map((bytes, n) => {
        const copy = Buffer.from(bytes);
        const at = 12 + ((round * 7 + n * 13) % (copy.length - 12));
        copy[at] = (copy[at] ?? 0) ^ (1 << (round % 8));
        return round % 2 === 0 ? copy : copy.subarray(0, Math.max(at, shortest));
      });
      const header = [6, 17, 58, 0, 43, 44, 60, 59].map((next) => frame(next, noise(round + next, 60), 16));
      return [...bad, ...header, noise(round, shortest + (round % 60))];
    });
  });

  it('under a flood of router advertisements', async ({ network }) => {
    await endures(network, (round) =>
      Array.from({ length: 50 }, (_, n) =>
        routerAdvert({ prefix: `fd01:${hex(round)}:${hex(n)}::` }, { from: `fe80::a:${hex(n)}` }),
      ),
    );
  });

  it('under a flood of neighbours', async ({ network }) => {
    await endures(network, (round) =>
      Array.from({ length: 50 }, (_, n) => {
        const from = `fe80::${hex(round + 1)}:${hex(n + 1)}`;
        return n % 2 === 0 ? solicit(guestLink, { from }) : advert(from, { from });
      }),
    );
  });

  it('under a flood of requests for connections', async ({ network }) => {
    await endures(network, (round) =>
      Array.from({ length: 50 }, (_, n) =>
        tcpFrame({ from: 1024 + n, to: 7 }, round * 1000 + n, 2, {
          from: `fd00:1::${hex(round + 16)}:${hex(n)}`,
          to: guestPeer,
        }),
      ),
    );
  });

  it('under segments and errors that belong to nobody', async ({ network }) => {
    await endures(network, (round) => [
      tcpFrame({ from: 80, to: 7 }, round, 0x14, { to: guestPeer }),
      tcpFrame({ from: 80, to: 7 }, round, 0x10, { to: guestPeer }),
      tcpFrame({ from: 80, to: 9 }, round, 0x29, { to: guestPeer }),
      icmpFrame(2, Buffer.concat([Buffer.from([0, 0, 5, 0]), noise(round, 60)]), { to: guestPeer }),
      icmpFrame(1, noise(round, 64), { to: guestPeer }),
    ]);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// What a host on an IPv6 link owes its neighbours (RFC 4861, 4862, 4443), as heard on the wire.
import { describe, expect } from 'vitest';
import { advert, echo, guestLink, icmp, type Packet, routerAdvert, routerLink, solicit, targetOf } from '../support/frames.ts';
import { guestGlobal, it, withAddresses } from '../support/network.ts';

const probeOf = (address: string) => (packet: Packet) =>
  packet.from === '::' && packet.hopLimit === 255 && targetOf(packet, icmp.solicit) === address ? true : undefined;
const isType = (type: number) => (packet: Packet) => (packet.next === 58 && packet.body[0] === type ? packet : undefined);

describe('a host on a link', () => {
  it('asks whether its address is taken, then for routers, and takes a prefix that one gives', async ({ network }) => {
    const probed = network.wire.hears('the probe of the own address', probeOf(guestLink), 60_000);
    const asked = network.wire.hears('the question for routers', isType(icmp.solicitRouter), 60_000);
    await withAddresses(network);
    await probed;
    expect((await asked).from).toBe(guestLink);
  });

  it('answers an echo to each of its addresses with the same bytes', async ({ network }) => {
    await withAddresses(network);
    // Who asks for an address says its own hardware address, so the guest knows where to answer.
    network.wire.say(solicit(guestLink));
    for (const [n, to] of [guestLink, guestGlobal].entries()) {
      const data = Buffer.alloc(1000, n + 65);
      const answer = network.wire.hears('the echo', isType(icmp.echoReply));
      network.wire.say(echo(n, data, { to, hopLimit: 64 }));
      const { from, to: back, body } = await answer;
      expect([from, back]).toEqual([to, routerLink]);
      expect(body.subarray(8)).toEqual(data);
    }
  });

  it('gives its address up for another when somebody has it already', async ({ network }) => {
    const probed = network.wire.hears('the probe', probeOf(guestLink), 60_000);
    const booting = network.boot();
    await probed;
    const second = network.wire.hears('another probe', (p) => (p.from === '::' ? targetOf(p, icmp.solicit) : undefined));
    network.wire.say(advert(guestLink, { from: guestLink }));
    const other = await second;
    expect(other).toMatch(/^fe80::/);
    expect(other).not.toBe(guestLink);
    const machine = await booting;
    await machine.console.waitFor(new RegExp(`^network: address ${other}$`), { timeoutMs: 20_000 });
  });

  it('defends its address against who wants it', async ({ network }) => {
    await withAddresses(network);
    const defended = network.wire.hears('the defence', (p) => targetOf(p, icmp.advert));
    network.wire.say(solicit(guestGlobal, { from: '::' }));
    expect(await defended).toBe(guestGlobal);
  });

  it('believes no router from beyond the link', async ({ network }) => {
    const machine = await withAddresses(network);
    const far = { prefix: 'fd00:2::' };
    let wrong = 0;
    const watch = network.wire.hears('nothing', (p) => {
      if (targetOf(p, icmp.solicit)?.startsWith('fd00:2') === true) wrong += 1;
      return undefined;
    });
    network.wire.say(
      routerAdvert(far, { hopLimit: 254 }),
      routerAdvert(far, { from: 'fd00:1::1' }),
      routerAdvert(far, { checksum: 1 }),
    );
    // A good one after them: when its probe is heard, theirs would have been.
    const good = network.wire.hears(
      'the probe for the good prefix',
      (p) => targetOf(p, icmp.solicit)?.startsWith('fd00:3') || undefined,
    );
    network.wire.say(routerAdvert({ prefix: 'fd00:3::' }));
    await good;
    await machine.console.waitFor(/^network: address fd00:3::/, { timeoutMs: 20_000 });
    watch.catch(() => undefined);
    expect(wrong).toBe(0);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// `it` for tests of the network: a guest with its partner program, and the wire that it hangs on.
import { createHash } from 'node:crypto';
import type { BadSignName, Machine } from '../../build/src/testing.ts';
import { temporaryFolder } from '../../build/src/testing.ts';
import { it as direct } from './direct.ts';
import { guestLink, guestMac, icmp, routerAdvert, targetOf } from './frames.ts';
import { LinuxHost, prefix, resolverAddress } from './linux-host.ts';
import { suiteBundle } from './suite.ts';
import { Wire } from './wire.ts';

/** The address that the guest makes of the prefix; no program is reached there. */
export const guestGlobal = 'fd00:1::5054:ff:fe12:3456';
/** The address of the partner program: by RFC 7217, out of prefix, device, try and name (servers/network/src/identity.rs). */
export const guestPeer = addressOf('peer');

function addressOf(name: string): string {
  const prefixBytes = Buffer.from('fd00000100000000', 'hex');
  const device = Buffer.from(guestMac.replaceAll(':', ''), 'hex');
  const identifier = createHash('sha256')
    .update(prefixBytes)
    .update(device)
    .update(Buffer.of(0))
    .update(name)
    .digest()
    .subarray(0, 8);
  identifier[0] = (identifier[0] ?? 0) & ~2;
  const groups = [0, 2, 4, 6].map((at) => identifier.readUInt16BE(at).toString(16));
  return `${prefix}${groups.join(':')}`;
}

export interface Network {
  readonly wire: Wire;
  /** The guest up to the moment when its partner program listens. */
  boot(options?: { cpus?: number; expected?: readonly BadSignName[] }): Promise<Machine>;
  /** Linux at the other end of the wire, one for a test. */
  linux(): Promise<LinuxHost>;
}

export const it = direct.extend<{ network: Network }>({
  network: async ({ direct: machines }, use) => {
    // Not the test's own folder: the path of a socket is short.
    const folder = temporaryFolder();
    const wire = await Wire.lay(folder.path);
    let host: Promise<LinuxHost> | undefined;
    const boot: Network['boot'] = async ({ cpus = 2, expected = [] } = {}) => {
      const bundle = await suiteBundle('network', 'dev');
      const machine = await machines.start({ bundle, disk: 'none', cpus, memoryMiB: 256, networks: [wire.guest], expected });
      await machine.console.waitFor(/^peer: listens on /, { timeoutMs: 60_000 });
      return machine;
    };
    const linux = () => (host ??= LinuxHost.start(wire.otherSocket));
    await use({ wire, boot, linux });
    await host?.then(
      (one) => one.close(),
      () => undefined,
    );
    wire.close();
    folder.remove();
  },
});

/** Boots, and gives the guest its addresses. */
export async function withAddresses(network: Network, options?: Parameters<Network['boot']>[0]): Promise<Machine> {
  const machine = await network.boot(options);
  await giveAddresses(network, machine);
  return machine;
}

/** Waits for the address of the link, and lets a router give another one. */
export async function giveAddresses(network: Network, machine: Machine): Promise<void> {
  await machine.console.waitFor(new RegExp(`^network: address ${guestLink}$`), { timeoutMs: 20_000 });
  const probed = network.wire.hears('the probe of the new address', (p) => targetOf(p, icmp.solicit) === guestPeer || undefined);
  network.wire.say(routerAdvert({ prefix, resolver: resolverAddress }));
  await probed;
  await machine.console.waitFor(new RegExp(`^network: address ${guestPeer} of peer$`), { timeoutMs: 20_000 });
}

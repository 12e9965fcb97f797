// SPDX-License-Identifier: PMPL-1.0-or-later
// Names that a native program asks a resolver for: the resolver is Linux's side of the wire, and says what it likes.
import { expect } from 'vitest';
import { resolverAddress } from '../support/linux-host.ts';
import { guestPeer, it, withAddresses } from '../support/network.ts';

/** `www.test`, as a message has it, and a pointer to where the question has it. */
const name = '03777777047465737400';
const pointer = 'c00c';
const flags = { answer: '8180', cut: '8380', none: '8183', refused: '8185' };
const question = `${name}001c0001`;
const address = (last: string) => `${pointer}001c00010000003c0010fd0000020000000000000000000000${last}`;
const message = (flag: string, records: readonly string[]) =>
  [flag, '0001', records.length.toString(16).padStart(4, '0'), '00000000', question, ...records].join('');

interface Named {
  readonly said: string;
  readonly datagrams: number;
  readonly streams: number;
}

it('a name has the addresses that the resolver says, over TCP where they do not fit, and none that is not', async ({
  network,
}) => {
  await withAddresses(network);
  const linux = await network.linux();
  const ask = (datagram: readonly string[], stream = '') =>
    linux.do<Named>('named', { host: guestPeer, own: resolverAddress, name: 'WWW.test', datagram, stream });
  const found = await ask([message(flags.answer, [address('07'), address('08')])]);
  expect(found).toEqual({ said: 'fd00:2::7 fd00:2::8', datagrams: 1, streams: 0 });
  const long = await ask([message(flags.cut, [])], message(flags.answer, [address('09')]));
  expect(long).toEqual({ said: 'fd00:2::9', datagrams: 1, streams: 1 });
  expect((await ask([message(flags.none, [])])).said).toBe('NoName');
  // Noise, another name and an address that runs out of the message come before what counts.
  const other = message(flags.answer, [address('01')]).replace('777777', '787878');
  const bad = ['', '8180', other, message(flags.answer, [address('01').slice(0, -8)])];
  expect((await ask([...bad, message(flags.answer, [address('0a')])])).said).toBe('fd00:2::a');
  const refused = await ask([message(flags.refused, [])]);
  expect(refused).toEqual({ said: 'NoName', datagrams: 2, streams: 0 });
});

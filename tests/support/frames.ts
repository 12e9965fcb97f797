// SPDX-License-Identifier: PMPL-1.0-or-later
// Ethernet frames with IPv6 in them, made and read byte by byte: what a test says on a link, and what it hears there.

export const guestMac = '52:54:00:12:34:56';
export const guestLink = 'fe80::5054:ff:fe12:3456';
export const routerMac = '02:00:00:00:00:01';
export const routerLink = 'fe80::1';
export const allNodes = 'ff02::1';

/** Types of ICMPv6. */
export const icmp = { tooBig: 2, echo: 128, echoReply: 129, solicitRouter: 133, router: 134, solicit: 135, advert: 136 } as const;
const protocol = { tcp: 6, icmp: 58 } as const;

export interface Packet {
  readonly from: string;
  readonly to: string;
  readonly hopLimit: number;
  readonly next: number;
  readonly body: Buffer;
}

/** The sixteen bytes of an address. */
export function addressBytes(text: string): Buffer {
  const [head = '', tail] = text.split('::');
  const groups = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':'));
  const [left, right] = [groups(head), groups(tail)];
  const middle = tail === undefined ? [] : Array<string>(8 - left.length - right.length).fill('0');
  const bytes = Buffer.alloc(16);
  [...left, ...middle, ...right].forEach((group, n) => void bytes.writeUInt16BE(Number.parseInt(group, 16), 2 * n));
  return bytes;
}

/** As Rust and Linux write it: the longest run of zeros is left out. */
export function addressText(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, n) => bytes.readUInt16BE(2 * n).toString(16)).join(':');
  const runs = [...groups.matchAll(/\b0(:0)+\b/g)].sort((a, b) => b[0].length - a[0].length);
  const longest = runs[0];
  if (longest === undefined) return groups;
  const [before, after] = [groups.slice(0, longest.index), groups.slice(longest.index + longest[0].length)];
  return `${before.replace(/:$/, '')}::${after.replace(/^:/, '')}`;
}

const macBytes = (text: string) => Buffer.from(text.split(':').map((byte) => Number.parseInt(byte, 16)));

function sum(bytes: Buffer): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}

export interface Said {
  readonly from?: string;
  readonly to?: string;
  readonly hopLimit?: number;
  readonly mac?: string;
  /** Instead of the right one. */
  readonly checksum?: number;
}

/** A frame to the guest with this payload; `at` is where its checksum stands. */
export function frame(next: number, body: Buffer, at: number, said: Said = {}): Buffer {
  const { from = routerLink, to = guestLink, hopLimit = 255, mac = routerMac } = said;
  const header = Buffer.alloc(40);
  header.writeUInt32BE(0x60000000, 0);
  header.writeUInt16BE(body.length, 4);
  header[6] = next;
  header[7] = hopLimit;
  const [source, target] = [addressBytes(from), addressBytes(to)];
  source.copy(header, 8);
  target.copy(header, 24);
  const whole = Buffer.from(body);
  const length = Buffer.from([0, 0, body.length >> 8, body.length & 255, 0, 0, 0, next]);
  whole.writeUInt16BE(0, at);
  whole.writeUInt16BE(said.checksum ?? sum(Buffer.concat([source, target, length, whole])), at);
  const hardware = target[0] === 0xff ? Buffer.concat([Buffer.from([0x33, 0x33]), target.subarray(12)]) : macBytes(guestMac);
  return Buffer.concat([hardware, macBytes(mac), Buffer.from([0x86, 0xdd]), header, whole]);
}

export function icmpFrame(type: number, rest: Buffer, said: Said = {}): Buffer {
  return frame(protocol.icmp, Buffer.concat([Buffer.from([type, 0, 0, 0]), rest]), 2, said);
}

/** A segment without options or bytes. */
export function tcpFrame(port: { from: number; to: number }, sequence: number, flags: number, said: Said = {}): Buffer {
  const body = Buffer.alloc(20);
  body.writeUInt16BE(port.from, 0);
  body.writeUInt16BE(port.to, 2);
  body.writeUInt32BE(sequence >>> 0, 4);
  body[12] = 0x50;
  body[13] = flags;
  body.writeUInt16BE(65535, 14);
  return frame(protocol.tcp, body, 16, { hopLimit: 64, ...said });
}

export interface Advert {
  readonly lifetimeS?: number;
  readonly prefix?: string;
  readonly resolver?: string;
}

/** What a router says to all. */
export function routerAdvert(advert: Advert, said: Said = {}): Buffer {
  const { lifetimeS = 1800, prefix, resolver } = advert;
  const parts: Buffer[] = [Buffer.from([64, 0, lifetimeS >> 8, lifetimeS & 255, 0, 0, 0, 0, 0, 0, 0, 0])];
  if (prefix !== undefined) {
    const option = Buffer.from([3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0]);
    parts.push(option, addressBytes(prefix));
  }
  if (resolver !== undefined) parts.push(Buffer.from([25, 3, 0, 0, 0, 0, 0x0e, 0x10]), addressBytes(resolver));
  return icmpFrame(icmp.router, Buffer.concat(parts), { to: allNodes, ...said });
}

const macOption = (kind: number, mac: string) => Buffer.concat([Buffer.from([kind, 1]), macBytes(mac)]);

/** Who has this address? From `::` it is the question of somebody who wants to have it. */
export function solicit(target: string, said: Said = {}): Buffer {
  const to = addressText(Buffer.concat([addressBytes('ff02::1:ff00:0').subarray(0, 13), addressBytes(target).subarray(13)]));
  const own = said.from === '::' ? Buffer.alloc(0) : macOption(1, said.mac ?? routerMac);
  return icmpFrame(icmp.solicit, Buffer.concat([Buffer.alloc(4), addressBytes(target), own]), { to, ...said });
}

/** This address is mine. */
export function advert(target: string, said: Said = {}): Buffer {
  const rest = [Buffer.from([0x20, 0, 0, 0]), addressBytes(target), macOption(2, said.mac ?? routerMac)];
  return icmpFrame(icmp.advert, Buffer.concat(rest), { to: allNodes, ...said });
}

export function echo(sequence: number, data: Buffer, said: Said = {}): Buffer {
  return icmpFrame(icmp.echo, Buffer.concat([Buffer.from([0x12, 0x34, sequence >> 8, sequence & 255]), data]), said);
}

/** The IPv6 packet of a frame; undefined for anything else. Its checksum is looked at if it is ICMPv6. */
export function packetOf(bytes: Buffer): Packet | undefined {
  if (bytes.length < 54 || bytes.readUInt16BE(12) !== 0x86dd) return undefined;
  const body = bytes.subarray(54, 54 + bytes.readUInt16BE(18));
  const next = bytes[20]!;
  if (next === protocol.icmp) {
    const length = Buffer.from([0, 0, body.length >> 8, body.length & 255, 0, 0, 0, next]);
    if (sum(Buffer.concat([bytes.subarray(22, 54), length, body])) !== 0) throw new Error('a checksum that is wrong');
  }
  return { from: addressText(bytes.subarray(22, 38)), to: addressText(bytes.subarray(38, 54)), hopLimit: bytes[21]!, next, body };
}

/** The target of a message of neighbour discovery, if it is of this type. */
export function targetOf(packet: Packet | undefined, type: number): string | undefined {
  const is = packet !== undefined && packet.next === protocol.icmp && packet.body[0] === type && packet.body.length >= 24;
  return is ? addressText(packet.body.subarray(8, 24)) : undefined;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// GUIDs: text, mixed-endian bytes (UEFI 2.10, appendix A), and GUIDs made from a seed. Pure, and never random.

import { createHash } from 'node:crypto';

const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;
/** True for the text form in lower case, which is the only one that leaves the configuration. */
export const isGuid = (text: string): boolean => GUID.test(text);

/** Text to bytes: the first three fields are little endian, the rest stand as written (UEFI 2.10, appendix A). */
export function encodeGuid(text: string): Buffer {
  if (!isGuid(text)) throw new RangeError(`"${text}" is not a GUID in lower case`);
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}

export function decodeGuid(bytes: Buffer): string {
  const copy = Buffer.from(bytes.subarray(0, 16));
  copy.subarray(0, 4).reverse();
  copy.subarray(4, 6).reverse();
  copy.subarray(6, 8).reverse();
  const hex = copy.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** A GUID that depends on `seed` and `name` only: version 8 of RFC 9562 (custom), from SHA-256. No clock and no random number. */
export function derivedGuid(seed: string, name: string): string {
  const bytes = createHash('sha256').update(`flatracoon-os guid\0${seed}\0${name}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// DER (X.690), the little of it that certificates and Authenticode signatures need: making values, and walking over given ones.
// No schema and no BER. Used by x509.ts and authenticode.ts.

const tags = {
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8: 0x0c,
  utc: 0x17,
  bmp: 0x1e,
  sequence: 0x30,
  set: 0x31,
};

/** One value: tag, length, content. */
export function tlv(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag]), lengthOf(body.length), body]);
}

export const sequence = (...content: readonly Uint8Array[]): Buffer => tlv(tags.sequence, ...content);
/** DER sorts the members of a SET OF by their bytes. */
export const setOf = (...members: readonly Buffer[]): Buffer => tlv(tags.set, ...[...members].sort(Buffer.compare));
export const octets = (bytes: Uint8Array): Buffer => tlv(tags.octets, bytes);
/** A bit string of whole bytes. */
export const bits = (bytes: Uint8Array): Buffer => tlv(tags.bits, Buffer.from([0]), bytes);
export const utf8 = (text: string): Buffer => tlv(tags.utf8, Buffer.from(text, 'utf8'));
export const nothing = (): Buffer => tlv(tags.null);
/** `[number]` around values (constructed): explicit tagging, or implicit of a constructed type when given its content. */
export const context = (number: number, ...content: readonly Uint8Array[]): Buffer => tlv(0xa0 | number, ...content);
/** `[number]` in place of a primitive value's own tag. */
export const implicit = (number: number, bytes: Uint8Array): Buffer => tlv(0x80 | number, bytes);

/** An unsigned number, big endian; a zero byte goes before one whose top bit is set. */
export function integer(value: number | Uint8Array): Buffer {
  let bytes = typeof value === 'number' ? Buffer.from([value]) : Buffer.from(value);
  while (bytes.length > 1 && bytes[0] === 0 && (bytes[1] ?? 0) < 0x80) bytes = bytes.subarray(1);
  return (bytes[0] ?? 0) >= 0x80 ? tlv(tags.integer, Buffer.from([0]), bytes) : tlv(tags.integer, bytes);
}

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return tlv(tags.oid, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** UTCTime, for years 1950 to 2049 (RFC 5280, 4.1.2.5.1). */
export function utcTime(date: Date): Buffer {
  const text = date.toISOString().replaceAll(/[-:T]/gu, '').slice(2, 14);
  return tlv(tags.utc, Buffer.from(`${text}Z`, 'ascii'));
}

export interface Value {
  readonly tag: number;
  /** Tag, length and content as they stood. */
  readonly whole: Buffer;
  readonly content: Buffer;
}

/** The values in `bytes`, one after another. Throws RangeError when they are not DER of definite length. */
export function values(bytes: Buffer): Value[] {
  const found: Value[] = [];
  for (let at = 0; at < bytes.length; ) {
    const value = firstValue(bytes.subarray(at));
    found.push(value);
    at += value.whole.length;
  }
  return found;
}

/** The first value in `bytes`; what follows it is not looked at. */
export function firstValue(bytes: Buffer): Value {
  const tag = bytes[0];
  const short = bytes[1];
  if (tag === undefined || short === undefined) throw new RangeError('DER ends inside a value');
  const extra = short < 0x80 ? 0 : short & 0x7f;
  if (short === 0x80 || extra > 4 || bytes.length < 2 + extra) throw new RangeError('a DER length is not definite');
  const length = extra === 0 ? short : bytes.readUIntBE(2, extra);
  const start = 2 + extra;
  if (bytes.length < start + length) throw new RangeError('DER ends inside a value');
  return { tag, whole: bytes.subarray(0, start + length), content: bytes.subarray(start, start + length) };
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) bytes.unshift((left & 0x7f) | 0x80);
  return bytes;
}

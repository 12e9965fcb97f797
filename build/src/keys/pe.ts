// SPDX-License-Identifier: PMPL-1.0-or-later
//
// A PE32+ file as far as a signature goes (Microsoft PE format, and "Windows Authenticode Portable Executable Signature Format"):
// what is hashed, and where a signature is put. Foreign bytes: every offset is checked. It knows nothing of keys.

import { createHash } from 'node:crypto';
import { UserError } from '../errors.ts';

interface Layout {
  /** Where the checksum stands, which is not hashed. */
  readonly checksum: number;
  /** Where the certificate table's entry of the data directory stands, which is not hashed. */
  readonly directory: number;
}

const PE32_PLUS = 0x20b;
const CERTIFICATE_TABLE = 4;
/** Signatures stand on 8 bytes. */
const ALIGNMENT = 8;

/** The file padded to where a signature may begin, with its Authenticode digest. `name` is for messages. */
export function hashUnsigned(file: Buffer, name: string): { readonly padded: Buffer; readonly sha256: Buffer } {
  const { checksum, directory } = layoutOf(file, name);
  if (file.readUInt32LE(directory + 4) !== 0) throw refused(name, 'it is signed already');
  const padded = Buffer.concat([file, Buffer.alloc((ALIGNMENT - (file.length % ALIGNMENT)) % ALIGNMENT)]);
  return { padded, sha256: digest(padded, checksum, directory) };
}

/** The padded file with a PKCS#7 signature appended as its only certificate, and the file's checksum made right. */
export function attachSignature(padded: Buffer, pkcs7: Buffer, name: string): Buffer {
  const { checksum, directory } = layoutOf(padded, name);
  const length = 8 + pkcs7.length;
  const entry = Buffer.alloc(Math.ceil(length / ALIGNMENT) * ALIGNMENT);
  entry.writeUInt32LE(entry.length, 0);
  entry.writeUInt16LE(0x0200, 4); // WIN_CERT_REVISION_2_0
  entry.writeUInt16LE(0x0002, 6); // WIN_CERT_TYPE_PKCS_SIGNED_DATA
  pkcs7.copy(entry, 8);
  const signed = Buffer.concat([padded, entry]);
  signed.writeUInt32LE(padded.length, directory);
  signed.writeUInt32LE(entry.length, directory + 4);
  signed.writeUInt32LE(checksumOf(signed, checksum), checksum);
  return signed;
}

function digest(padded: Buffer, checksum: number, directory: number): Buffer {
  return createHash('sha256')
    .update(padded.subarray(0, checksum))
    .update(padded.subarray(checksum + 4, directory))
    .update(padded.subarray(directory + 8))
    .digest();
}

function layoutOf(file: Buffer, name: string): Layout {
  const read = (at: number, bytes: 2 | 4): number => {
    if (at < 0 || at + bytes > file.length) throw refused(name, 'its headers reach beyond its end');
    return bytes === 2 ? file.readUInt16LE(at) : file.readUInt32LE(at);
  };
  if (read(0, 2) !== 0x5a4d) throw refused(name, 'it does not begin with MZ');
  const pe = read(0x3c, 4);
  if (read(pe, 4) !== 0x0000_4550) throw refused(name, 'it has no PE header');
  const sections = read(pe + 6, 2);
  const optional = pe + 24;
  if (read(optional, 2) !== PE32_PLUS) throw refused(name, 'it is not for a 64-bit machine (PE32+)');
  if (read(optional + 108, 4) <= CERTIFICATE_TABLE) throw refused(name, 'its data directory has no place for a signature');
  const directory = optional + 112 + 8 * CERTIFICATE_TABLE;
  read(directory + 4, 4);
  const first = optional + read(pe + 20, 2);
  const end = endOfSections(read, first, sections, read(optional + 60, 4), name);
  if (end > file.length) throw refused(name, 'a section reaches beyond its end');
  return { checksum: optional + 64, directory };
}

/**
 * Authenticode hashes section after section in the order of the file. Where they follow each other without a gap that is
 * the same as hashing the file from front to back, with whatever follows the last one; anything else is refused,
 * since verifiers differ about gaps.
 */
function endOfSections(
  read: (at: number, bytes: 2 | 4) => number,
  first: number,
  count: number,
  headers: number,
  name: string,
): number {
  const placed = Array.from({ length: count }, (_, index) => ({
    size: read(first + 40 * index + 16, 4),
    at: read(first + 40 * index + 20, 4),
  }));
  let end = headers;
  for (const section of placed.filter(({ size }) => size > 0).sort((one, other) => one.at - other.at)) {
    if (section.at !== end) throw refused(name, 'there is a gap or an overlap between its sections');
    end = section.at + section.size;
  }
  return end;
}

/** The PE checksum: 16-bit words added with their carries, the field itself as zero, plus the length. Firmware does not look at it. */
function checksumOf(file: Buffer, field: number): number {
  let sum = 0;
  for (let at = 0; at < file.length; at += 2) {
    if (at === field || at === field + 2) continue;
    sum += at + 1 < file.length ? file.readUInt16LE(at) : file.readUInt8(at);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum + file.length;
}

function refused(name: string, why: string): UserError {
  return new UserError(`keys: ${name} cannot be signed: ${why}`, {
    code: 'keys/not-signable',
    where: name,
    hint: 'sign the unsigned loader that cargo built',
  });
}

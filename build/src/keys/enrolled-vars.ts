// SPDX-License-Identifier: PMPL-1.0-or-later
//
// Firmware variables with our Secure Boot keys enrolled, for machines in QEMU: an OVMF variable store in, the same store with
// PK, KEK, db and "Secure Boot on" out. Pure over buffers; the same keys give the same bytes. A real machine's owner enrols by hand.
// Format: the firmware volume of the Platform Initialization specification 1.7 (volume 3, 2.1), and EDK II's VariableFormat.h in it.

import { UserError } from '../errors.ts';
import { encodeGuid } from '../image/guid.ts';

export interface EnrolledCertificates {
  /** DER. */
  readonly platform: Buffer;
  readonly exchange: Buffer;
  /** What the firmware accepts programs from. */
  readonly programs: readonly Buffer[];
}

const guids = {
  authenticatedStore: 'aaf32c78-947b-439a-a180-2e144ec37792',
  global: '8be4df61-93ca-11d2-aa0d-00e098032b8c',
  imageSecurity: 'd719b2cb-3d3a-4596-a3bc-dad00e67656f',
  secureBootEnable: 'f0a30bc7-af08-4556-99c4-001009c93a44',
  customMode: 'c076ec0c-7028-4399-a072-71ee5c448b9f',
  x509: 'a5c059a1-94e4-4aa7-87b5-ab155c2bf072',
  /** Says who put a certificate into a list; the firmware does not look at it. */
  owner: '6d1c2a60-7f4e-4d0b-9a55-46524f530002',
} as const;

const STORE_HEADER_BYTES = 28;
const VARIABLE_HEADER_BYTES = 60;
const NON_VOLATILE_BOOT = 0x03;
const NON_VOLATILE_BOOT_RUNTIME_TIME_AUTHENTICATED = 0x27;

/**
 * `template` is the distribution's OVMF_VARS file, with its own variables if it has any.
 * Errors: UserError `keys/not-a-variable-store`.
 */
export function enrolledVars(template: Buffer, certificates: EnrolledCertificates): Buffer {
  const list = (...ders: readonly Buffer[]): Buffer => Buffer.concat(ders.map(signatureList));
  const authenticated = NON_VOLATILE_BOOT_RUNTIME_TIME_AUTHENTICATED;
  // The platform key comes last: with it the firmware leaves set-up mode.
  const variables = [
    variable('db', guids.imageSecurity, authenticated, list(...certificates.programs)),
    variable('KEK', guids.global, authenticated, list(certificates.exchange)),
    variable('PK', guids.global, authenticated, list(certificates.platform)),
    variable('CustomMode', guids.customMode, NON_VOLATILE_BOOT, Buffer.from([0])),
    variable('SecureBootEnable', guids.secureBootEnable, NON_VOLATILE_BOOT, Buffer.from([1])),
  ];
  const store = findStore(template);
  const out = Buffer.from(template);
  let at = store.free;
  for (const bytes of variables) {
    if (at + bytes.length > store.end) throw notAStore('has no room for the keys');
    bytes.copy(out, at);
    at += Math.ceil(bytes.length / 4) * 4;
  }
  return out;
}

/** EFI_SIGNATURE_LIST with one certificate (UEFI 2.10, 32.4.1). */
function signatureList(der: Buffer): Buffer {
  const header = Buffer.alloc(28);
  encodeGuid(guids.x509).copy(header, 0);
  header.writeUInt32LE(28 + 16 + der.length, 16);
  header.writeUInt32LE(0, 20);
  header.writeUInt32LE(16 + der.length, 24);
  return Buffer.concat([header, encodeGuid(guids.owner), der]);
}

function variable(name: string, vendor: string, attributes: number, data: Buffer): Buffer {
  const text = Buffer.from(`${name}\0`, 'utf16le');
  const header = Buffer.alloc(VARIABLE_HEADER_BYTES);
  header.writeUInt16LE(0x55aa, 0);
  header.writeUInt8(0x3f, 2); // VAR_ADDED
  header.writeUInt32LE(attributes, 4);
  // The time only has to be older than any later change of the variable: 2026-01-01, never a clock.
  if ((attributes & 0x20) !== 0) Buffer.from([0xea, 0x07, 1, 1]).copy(header, 16);
  header.writeUInt32LE(text.length, 36);
  header.writeUInt32LE(data.length, 40);
  encodeGuid(vendor).copy(header, 44);
  return Buffer.concat([header, text, data]);
}

/** Where the store's free space begins and ends, as byte offsets. */
function findStore(template: Buffer): { readonly free: number; readonly end: number } {
  if (template.length < 56 || template.toString('latin1', 40, 44) !== '_FVH') throw notAStore('is no firmware volume');
  const start = template.readUInt16LE(48);
  if (start + STORE_HEADER_BYTES > template.length) throw notAStore('ends inside its header');
  if (!template.subarray(start, start + 16).equals(encodeGuid(guids.authenticatedStore)))
    throw notAStore('holds no authenticated variables');
  const end = start + template.readUInt32LE(start + 16);
  if (end > template.length) throw notAStore('is shorter than it says');
  let at = start + STORE_HEADER_BYTES;
  while (at + VARIABLE_HEADER_BYTES <= end && template.readUInt16LE(at) === 0x55aa) {
    const length = VARIABLE_HEADER_BYTES + template.readUInt32LE(at + 36) + template.readUInt32LE(at + 40);
    at += Math.ceil(length / 4) * 4;
  }
  return { free: at, end };
}

function notAStore(why: string): UserError {
  return new UserError(`keys: the firmware's variable file ${why}`, {
    code: 'keys/not-a-variable-store',
    hint: 'use the OVMF_VARS_4M.fd of the package ovmf',
  });
}

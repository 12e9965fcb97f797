// SPDX-License-Identifier: PMPL-1.0-or-later
//
// Self-signed certificates for Secure Boot (RFC 5280): the same bytes for the same key, name and dates.
// Made here because openssl 3.0 can only start a self-signed certificate now. No chain, no revocation.

import { createHash, createPublicKey, type KeyObject, sign, type X509Certificate } from 'node:crypto';
import { bits, context, firstValue, integer, nothing, octets, oid, sequence, setOf, utcTime, utf8, values } from './der.ts';

export const oids = {
  commonName: '2.5.4.3',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectKeyIdentifier: '2.5.29.14',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  rsaEncryption: '1.2.840.113549.1.1.1',
  sha256WithRsa: '1.2.840.113549.1.1.11',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const;

export interface CertificateRequest {
  readonly private_key: KeyObject;
  readonly common_name: string;
  readonly not_before: Date;
  readonly not_after: Date;
  /** `leaf` signs programs (db); `authority` may sign other certificates (PK, KEK). */
  readonly use: 'leaf' | 'authority';
}

/** DER of a self-signed certificate. */
export function selfSigned(request: CertificateRequest): Buffer {
  const public_key = createPublicKey(request.private_key).export({ type: 'spki', format: 'der' });
  const algorithm = sequence(oid(oids.sha256WithRsa), nothing());
  const name = sequence(setOf(sequence(oid(oids.commonName), utf8(request.common_name))));
  const to_be_signed = sequence(
    context(0, integer(2)), // version 3
    integer(serialFor(public_key)),
    algorithm,
    name,
    sequence(utcTime(request.not_before), utcTime(request.not_after)),
    name,
    public_key,
    context(3, extensions(request.use, public_key)),
  );
  return sequence(to_be_signed, algorithm, bits(sign('sha256', to_be_signed, request.private_key)));
}

/** A serial number from the key, so that two keys of one name differ: positive, 16 bytes. */
function serialFor(public_key: Buffer): Buffer {
  const digest = createHash('sha256').update(public_key).digest().subarray(0, 16);
  digest.writeUInt8((digest.readUInt8(0) & 0x3f) | 0x40, 0);
  return digest;
}

function extensions(use: CertificateRequest['use'], public_key: Buffer): Buffer {
  const critical = Buffer.from([0x01, 0x01, 0xff]);
  const extension = (id: string, value: Buffer, ...flag: readonly Buffer[]) => sequence(oid(id), ...flag, octets(value));
  const key_identifier = octets(createHash('sha1').update(public_key).digest());
  const shared = [extension(oids.subjectKeyIdentifier, key_identifier)];
  if (use === 'authority') {
    return sequence(extension(oids.basicConstraints, sequence(critical), critical), ...shared);
  }
  const digital_signature = Buffer.from([0x03, 0x02, 0x07, 0x80]);
  return sequence(
    extension(oids.basicConstraints, sequence(), critical),
    extension(oids.keyUsage, digital_signature, critical),
    extension(oids.extendedKeyUsage, sequence(oid(oids.codeSigning))),
    ...shared,
  );
}

/** Issuer and serial number as they stand in a certificate: how a signature names its signer (PKCS#7, IssuerAndSerialNumber). */
export function issuerAndSerial(certificate: X509Certificate): Buffer {
  const [to_be_signed] = values(firstValue(certificate.raw).content);
  const fields = to_be_signed === undefined ? [] : values(to_be_signed.content);
  // A version comes first, in [0], in every certificate that has extensions.
  const [serial, , issuer] = fields[0]?.tag === 0xa0 ? fields.slice(1) : fields;
  if (serial === undefined || issuer === undefined) throw new RangeError('the certificate has no issuer or serial number');
  return sequence(issuer.whole, serial.whole);
}

export function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/gu) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

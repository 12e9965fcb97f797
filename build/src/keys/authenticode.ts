// SPDX-License-Identifier: PMPL-1.0-or-later
//
// Signs a UEFI program for Secure Boot (Authenticode: PKCS#7 SignedData over an SpcIndirectDataContent).
// Written here because sbsign puts the clock into every signature; without a signing time, and with RSA PKCS#1 v1.5, the same
// program and key give the same bytes. sbverify and the firmware are the judges (tests/image/secure-boot.test.ts).

import { createHash, type X509Certificate } from 'node:crypto';
import { context, firstValue, implicit, integer, nothing, octets, oid, sequence, setOf, tlv } from './der.ts';
import { attachSignature, hashUnsigned } from './pe.ts';
import { issuerAndSerial, oids } from './x509.ts';

/** Makes an RSA PKCS#1 v1.5 signature with SHA-256 over `message`; from a key file or from a token. */
export type RsaSigner = (message: Buffer) => Promise<Buffer>;

const pkcs7 = {
  signedData: '1.2.840.113549.1.7.2',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  spcIndirectData: '1.3.6.1.4.1.311.2.1.4',
  spcPeImageData: '1.3.6.1.4.1.311.2.1.15',
} as const;

/** The signed program. `name` is for messages. */
export async function signProgram(
  program: Buffer,
  certificate: X509Certificate,
  signer: RsaSigner,
  name: string,
): Promise<Buffer> {
  const { padded, sha256 } = hashUnsigned(program, name);
  return attachSignature(padded, await signedData(sha256, certificate, signer), name);
}

async function signedData(image_digest: Buffer, certificate: X509Certificate, signer: RsaSigner): Promise<Buffer> {
  const sha256 = sequence(oid(oids.sha256), nothing());
  const indirect = indirectData(image_digest, sha256);
  // The digest is over the content alone, without tag and length (PKCS#7, 9.3).
  const digest = createHash('sha256').update(firstValue(indirect).content).digest();
  const attributes = [
    sequence(oid(pkcs7.contentType), setOf(oid(pkcs7.spcIndirectData))),
    sequence(oid(pkcs7.messageDigest), setOf(octets(digest))),
  ];
  // Signed as a SET, stored as [0]: PKCS#7, 9.3.
  const signed = setOf(...attributes);
  const signer_info = sequence(
    integer(1),
    issuerAndSerial(certificate),
    sha256,
    context(0, firstValue(signed).content),
    sequence(oid(oids.rsaEncryption), nothing()),
    octets(await signer(signed)),
  );
  const data = sequence(
    integer(1),
    setOf(sha256),
    sequence(oid(pkcs7.spcIndirectData), context(0, indirect)),
    context(0, certificate.raw),
    setOf(signer_info),
  );
  return sequence(oid(pkcs7.signedData), context(0, data));
}

/** "This is a PE image with that digest". The flags and the file name mean nothing to anybody; every signer writes them. */
function indirectData(image_digest: Buffer, sha256: Buffer): Buffer {
  const no_flags = tlv(0x03, Buffer.from([0x00]));
  const no_file = context(0, context(2, implicit(0, Buffer.alloc(0))));
  const image = sequence(oid(pkcs7.spcPeImageData), sequence(no_flags, no_file));
  return sequence(image, sequence(sha256, octets(image_digest)));
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// What steps, commands and tests use of the keys. Files in, files out; the work is in the siblings.

import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { signProgram } from './authenticode.ts';
import { developmentKeys } from './development.ts';
import { enrolledVars } from './enrolled-vars.ts';
import type { SigningKeys } from './signing.ts';

export { developmentKeys, keyFiles, keyFolder } from './development.ts';
export { type CommitKey, type ResolvedSigning, type SigningKeys, type SigningRequest, signingKeys } from './signing.ts';

/** Signs the UEFI program `source` into `out`: the same bytes for the same program and key. */
export async function signLoader(source: string, out: string, keys: SigningKeys): Promise<void> {
  const signed = await signProgram(await readFile(source), keys.loader.certificate, keys.loader.sign, source);
  await writeFile(out, signed);
}

/**
 * Writes `out`, firmware variables for QEMU with the user's development PK and KEK, and with the certificate of whoever signs the loader.
 * `template` is the distribution's empty OVMF_VARS_4M.fd.
 */
export async function writeEnrolledVars(template: string, out: string, keys: SigningKeys, folder?: string): Promise<void> {
  const files = await developmentKeys(folder);
  const der = async (path: string): Promise<Buffer> => new X509Certificate(await readFile(path)).raw;
  const enrolled = enrolledVars(await readFile(template), {
    platform: await der(files.platform.certificate),
    exchange: await der(files.exchange.certificate),
    programs: [keys.loader.certificate.raw],
  });
  await writeFile(out, enrolled);
}

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
 * Writes `out`, firmware variables for QEMU that trust whoever signs the loader; `template` is the distribution's empty OVMF_VARS_4M.fd.
 * PK and KEK are the user's development ones; for a release, whose files must not depend on who built it, the loader's own certificate.
 */
export async function writeEnrolledVars(template: string, out: string, keys: SigningKeys, folder?: string): Promise<void> {
  const loader = keys.loader.certificate.raw;
  const owner = keys.unreleased ? await developmentOwner(folder) : { platform: loader, exchange: loader };
  await writeFile(out, enrolledVars(await readFile(template), { ...owner, programs: [loader] }));
}

async function developmentOwner(folder?: string): Promise<{ readonly platform: Buffer; readonly exchange: Buffer }> {
  const files = await developmentKeys(folder);
  const der = async (path: string): Promise<Buffer> => new X509Certificate(await readFile(path)).raw;
  return { platform: await der(files.platform.certificate), exchange: await der(files.exchange.certificate) };
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// sbverify (sbsigntool): whether the signature in a UEFI program was made by a certificate's key.

import { run } from './exec.ts';

/** What is wrong with the signature, nothing for a good one. */
export async function sbverify(program: string, certificate: string): Promise<readonly string[]> {
  const { code, stdout, stderr } = await run('sbverify', ['--cert', certificate, program], { ok: 'any' });
  return code === 0 ? [] : `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// virt-xml-validate (libvirt): checks a domain against libvirt's own schema, without a daemon.

import { UserError } from '../errors.ts';
import { run } from './exec.ts';

/** What is wrong with the domain in `path`, nothing for a good one. */
export async function validateDomain(path: string): Promise<readonly string[]> {
  const { code, stdout, stderr } = await run('virt-xml-validate', [path, 'domain'], { ok: 'any' });
  if (/xmllint: not found/.test(stderr)) {
    throw new UserError('virt-xml-validate is there, but the program that it calls, xmllint, is not installed', {
      code: 'machine/program-missing',
      hint: 'run `just setup`, or install the package libxml2-utils (Debian, Ubuntu: apt-get install libxml2-utils)',
    });
  }
  return code === 0 ? [] : `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// Finds UEFI firmware (OVMF) where distributions put it, and makes the copy of its variables that one machine may write.
// Enrolling keys for Secure Boot is not done here: the image step makes such a file of variables.
import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import type { FirmwareBoot } from './arguments.ts';

interface FirmwareFiles {
  readonly code: string;
  readonly secureCode: string;
  /** Empty variables, to be copied. */
  readonly variables: string;
}

/** Debian and Ubuntu, Arch, Fedora. */
const places: readonly FirmwareFiles[] = [
  {
    code: '/usr/share/OVMF/OVMF_CODE_4M.fd',
    secureCode: '/usr/share/OVMF/OVMF_CODE_4M.secboot.fd',
    variables: '/usr/share/OVMF/OVMF_VARS_4M.fd',
  },
  {
    code: '/usr/share/edk2/x64/OVMF_CODE.4m.fd',
    secureCode: '/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd',
    variables: '/usr/share/edk2/x64/OVMF_VARS.4m.fd',
  },
  {
    code: '/usr/share/edk2/ovmf/OVMF_CODE_4M.fd',
    secureCode: '/usr/share/edk2/ovmf/OVMF_CODE_4M.secboot.fd',
    variables: '/usr/share/edk2/ovmf/OVMF_VARS_4M.fd',
  },
];

/** Errors: `UserError` `machine/firmware-missing`. */
export function findFirmware(): FirmwareFiles {
  const found = places.find((files) => Object.values(files).every((path) => existsSync(path)));
  if (found !== undefined) return found;
  throw new UserError('no UEFI firmware (OVMF) was found', {
    code: 'machine/firmware-missing',
    where: `looked for ${places.map((files) => files.code).join(', ')}`,
    hint: 'run `just setup`, or install the package ovmf (Debian, Ubuntu: apt-get install ovmf)',
  });
}

export interface FirmwareOptions {
  /** Variables with our keys enrolled: the firmware then refuses a loader that they did not sign. */
  readonly secureBootVariables?: string;
  /** Where the machine's own copy goes. */
  readonly copyTo: string;
}

/** Firmware as a new machine has it. The copy keeps what guests write, from one start to the next. */
export async function createFirmware(options: FirmwareOptions): Promise<FirmwareBoot> {
  const files = findFirmware();
  const secureBoot = options.secureBootVariables !== undefined;
  await copyFile(options.secureBootVariables ?? files.variables, options.copyTo);
  return { kind: 'firmware', code: secureBoot ? files.secureCode : files.code, variables: options.copyTo, secureBoot };
}

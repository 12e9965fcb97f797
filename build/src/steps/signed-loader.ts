// SPDX-License-Identifier: PMPL-1.0-or-later
// The loader as it goes on the ESP: with the trusted keys in it, signed for Secure Boot. And the firmware variables of a virtual
// machine that trusts whoever signed it.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Step } from '../engine/types.ts';
import { signLoader, writeEnrolledVars } from '../keys/index.ts';
import { findFirmware } from '../qemu/firmware.ts';
import { slot } from '../toolchain/host-tools.ts';
import { roughSize } from '../units.ts';
import type { Build } from './build.ts';
import { sizeOf, writeJson } from './files.ts';
import { loaderFile, toolFile } from './rust.ts';

export const signedLoader = (build: Build) => join(build.outDir, 'BOOTX64.EFI');
export const secureBootVars = (build: Build) => join(build.outDir, 'ovmf-vars-secure-boot.fd');

export function certificateDigest(build: Build): string {
  return createHash('sha256').update(build.keys.loader.certificate.raw).digest('hex');
}

export function signedLoaderStep(build: Build): Step {
  const { commit } = build.keys;
  const trusted = {
    minimal_rollback_index: 0,
    keys: [{ public_key: commit.public_key, development: commit.development, not_after_seconds: commit.not_after_seconds }],
  };
  return {
    name: 'signed-loader',
    makes: 'loader with the trusted keys, signed for Secure Boot',
    inputs: [
      { kind: 'step', step: 'host-tools' },
      { kind: 'step', step: 'loader' },
      { kind: 'value', name: 'trusted keys', value: trusted },
      { kind: 'value', name: 'loader certificate', value: certificateDigest(build) },
    ],
    outputs: [signedLoader(build)],
    async run(context) {
      const scratch = await context.scratch();
      const keys = join(scratch, 'keys.json');
      const loader = join(scratch, 'loader.efi');
      await writeJson(keys, trusted);
      await slot(
        toolFile(build, 'slot'),
        ['embed-keys', '--loader', loaderFile(build), '--keys', keys, '--out', loader],
        context,
      );
      await signLoader(loader, context.temporary(signedLoader(build)), build.keys);
      return roughSize(await sizeOf(context.temporary(signedLoader(build))));
    },
  };
}

export function firmwareVarsStep(build: Build): Step {
  const { variables } = findFirmware();
  return {
    name: 'firmware-vars',
    makes: 'firmware variables that trust the loader, for QEMU',
    inputs: [
      { kind: 'file', path: variables },
      { kind: 'value', name: 'loader certificate', value: certificateDigest(build) },
    ],
    outputs: [secureBootVars(build)],
    async run(context) {
      await writeEnrolledVars(variables, context.temporary(secureBootVars(build)), build.keys);
      return undefined;
    },
  };
}

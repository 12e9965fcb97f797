// SPDX-License-Identifier: PMPL-1.0-or-later
// Where a build leaves what a machine needs. The names are said here once for the harness; the steps of the build make them.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';

export type Profile = 'dev' | 'prod';

export interface Artifacts {
  readonly folder: string;
  readonly image: string;
  readonly kernel: string;
  readonly bundle: string;
  /** `slot.json`: what the slot tool said of the slot that it made (root digest, salt, block count, version). */
  readonly slot: string;
  /** The host program that makes and judges slots. */
  readonly slotTool: string;
  readonly bundleTool: string;
  /** OVMF variables with our keys enrolled. */
  readonly secureBootVariables: string;
}

/** `variant`: one of images/variants that was built beside the usual image. */
export function artifactsOf(root: string, profile: Profile, variant?: string): Artifacts {
  const folder = join(root, 'out', variant === undefined ? profile : `${profile}-${variant}`);
  return {
    folder,
    image: join(folder, 'flatracoon-os.raw'),
    kernel: join(folder, 'kernel.elf'),
    bundle: join(folder, 'bundle.frb'),
    slot: join(folder, 'slot.json'),
    slotTool: join(folder, '.build', 'tools', 'slot'),
    bundleTool: join(folder, '.build', 'tools', 'bundle'),
    secureBootVariables: join(folder, 'ovmf-vars-secure-boot.fd'),
  };
}

/** A host tool that some build has left, if one has: looked for in `folder` first, where there is one, then in both profiles'. */
export function findTool(root: string, name: 'slot' | 'bundle', folder?: string): string | undefined {
  const profiles = (['dev', 'prod'] as const).map((profile) => artifactsOf(root, profile).folder);
  const folders = folder === undefined ? profiles : [folder, ...profiles];
  return folders.map((one) => join(one, '.build', 'tools', name)).find((path) => existsSync(path));
}

/** `path` if it exists. Errors: `UserError` `run-qemu/not-built`. */
export function built(path: string, profile: Profile): string {
  if (existsSync(path)) return path;
  throw new UserError(`there is no ${path}`, { code: 'run-qemu/not-built', hint: `run \`just build-${profile}\` first` });
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// `clean`: removes what builds have made. Keys, packages and the chosen toolchain stay.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, flag } from './command.ts';

export const command: Command = {
  usage: '[--images]',
  help: `Removes out/ and the target folders of the Rust workspaces. Keys, npm packages and .toolchain stay.

  --images   only images and other artifacts: compiled Rust and benchmark results stay`,
  options: { images: { type: 'boolean' } },
  async run({ root, values, log }) {
    const gone = flag(values, 'images')
      ? await images(root)
      : ['out', 'kernel-rs/target', 'kernel-rs/boot/target', 'servers-rs/target'];
    for (const path of gone) await rm(join(root, path), { recursive: true, force: true });
    log.info(`removed ${gone.join(', ')}`);
    return undefined;
  },
};

async function images(root: string): Promise<string[]> {
  const names = await readdir(join(root, 'out')).catch(() => []);
  return names.filter((name) => name === 'dev' || name === 'prod' || name === 'test').map((name) => `out/${name}`);
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// `build-dev`: the image for development: debug facilities, names in back-traces, development keys.
import { buildImage } from './build-image.ts';
import { type Command, text } from './command.ts';

export const command: Command = {
  usage: '[--variant NAME]',
  help: `Builds the development image into out/dev: flatracoon-os.raw and .qcow2 (always the newest), versioned names beside them,
manifest.json with all digests, and what the emulator needs. Steps whose inputs have not changed are not run.
Signed with your development keys (\`just keys\`), which are made if there are none.

  --variant NAME  a variant of images/variants instead of qemu, into out/dev-NAME: linux-tests has the programs that tests of Linux cells run`,
  options: { variant: { type: 'string' } },
  async run(context) {
    await buildImage(context, 'dev', { variant: text(context.values, 'variant') });
    return undefined;
  },
};

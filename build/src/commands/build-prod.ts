// SPDX-License-Identifier: PMPL-1.0-or-later
// `build-prod`: the image for the world: no debug facilities, signed with the configured keys.
import { buildImage } from './build-image.ts';
import { type Command, flag } from './command.ts';

export const command: Command = {
  usage: '[--release]',
  help: `Builds the production image into out/prod: as build-dev, without debug system calls.
Keys come from \`signing\` in configs/update.ncl: files or PKCS#11 URIs. Without any it is signed with development keys, and says
\`unreleased\` in its version, on its console and in manifest.json.

  --release   refuse to sign with development keys`,
  options: { release: { type: 'boolean' } },
  async run(context) {
    await buildImage(context, 'prod', { release: flag(context.values, 'release') });
    return undefined;
  },
};

// SPDX-License-Identifier: PMPL-1.0-or-later
// `keys`: makes the user's development keys if there are none and says where they are and who they are. Never prints a secret.
// Builds do the same by themselves. Production keys are named in `configs/update.ncl`. Read next: `keys/development.ts`.
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { developmentKeys, type KeyFiles } from '../keys/development.ts';
import type { Command } from './command.ts';

export const command: Command = {
  usage: '',
  help: `Makes the development keys, once for a user, outside the repository, readable by you alone:
an ed25519 key for OSTree commits, and RSA keys with certificates for Secure Boot (PK, KEK, db).
They are in FR_KEYS, or in $XDG_DATA_HOME/flatracoon-os/keys (~/.local/share by default).
Whoever has them can sign for machines that trust them; images signed with them say \`unreleased\`.`,
  async run({ json, log, print }) {
    const files = await developmentKeys();
    const facts = await describe(files);
    if (json) {
      log.event('keys', { ...facts, made: files.made });
      return 0;
    }
    print(`${files.made ? 'made development keys in' : 'there are development keys in'} ${files.folder}`);
    print(`  commit key  ed25519  ${facts.commit_key}`);
    for (const [name, fingerprint] of Object.entries(facts.certificates)) print(`  ${name.padEnd(10)}  SHA-256  ${fingerprint}`);
    return 0;
  },
};

interface KeyFacts {
  readonly folder: string;
  /** The public half, as the loader and `manifest.json` have it. */
  readonly commit_key: string;
  /** Digests of the certificates. */
  readonly certificates: Readonly<Record<string, string>>;
}

async function describe(files: KeyFiles): Promise<KeyFacts> {
  const public_key = createPublicKey(createPrivateKey(await readFile(files.ostree, 'utf8')));
  const fingerprint = async (path: string): Promise<string> =>
    new X509Certificate(await readFile(path)).fingerprint256.replaceAll(':', '').toLowerCase();
  return {
    folder: files.folder,
    commit_key: public_key.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex'),
    certificates: {
      PK: await fingerprint(files.platform.certificate),
      KEK: await fingerprint(files.exchange.certificate),
      db: await fingerprint(files.loader.certificate),
    },
  };
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// Slots and loaders that a release would not make: another signer, another rollback index, keys that are revoked or expired.
// Made by the project's own tools from the built image, so that nothing but the one thing differs.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { artifactsOf, run, type SlotName, signingKeys, slotBuild, slotExtract, slotInspect } from '../../build/src/testing.ts';
import type { Computer } from './computer.ts';
import { loaderOf, replaceLoader, unsigned } from './esp.ts';
import { root } from './root.ts';

const tool = artifactsOf(root, 'dev').slotTool;

export interface Difference {
  readonly rollbackIndex?: number;
  /** A new key that nobody trusts. */
  readonly stranger?: true;
}

/** Fills `slot` of the computer's disk with slot A's tree, signed anew with a difference. */
export async function resignSlot(node: Computer, slot: SlotName, difference: Difference): Promise<void> {
  const folder = join(node.folder, `slot-${slot}`);
  await mkdir(folder, { recursive: true });
  const original = join(folder, 'original.img');
  const { offsetBytes, lengthBytes } = await node.disk.partition('ROOT-A');
  await writeFile(original, await node.disk.read(offsetBytes, lengthBytes));
  await slotExtract(tool, original, join(folder, 'tree'));
  const was = await slotInspect(tool, original);
  const spec = {
    version: was.version,
    refs: was.refs,
    rollback_index: difference.rollbackIndex ?? was.rollback_index,
    epoch: 1_700_000_000,
    uuid_seed: 'resigned for a test',
    partition_bytes: lengthBytes,
    unreleased: was.unreleased,
  };
  await writeFile(join(folder, 'spec.json'), JSON.stringify(spec));
  const image = join(folder, 'slot.img');
  await slotBuild(tool, {
    tree: join(folder, 'tree', 'tree.json'),
    spec: join(folder, 'spec.json'),
    out: image,
    report: join(folder, 'slot.json'),
    key: difference.stranger === true ? await strangersKey(folder) : (await keyOfTheBuild()).secret_file,
  });
  const target = await node.disk.partition(`ROOT-${slot}`);
  await node.disk.clear(target);
  await node.disk.writeFilled(target.offsetBytes, await readFile(image));
  await rm(folder, { recursive: true, force: true });
}

export interface TrustedKey {
  readonly revoked?: boolean;
  readonly notAfterSeconds?: number;
}

/** Replaces the loader by one that sees the build's key differently. It is not signed for Secure Boot any more. */
export async function retrust(node: Computer, change: TrustedKey & { readonly minimalRollbackIndex?: number }): Promise<void> {
  const keys = {
    minimal_rollback_index: change.minimalRollbackIndex ?? 0,
    keys: [
      {
        public_key: (await keyOfTheBuild()).public_key,
        development: true,
        revoked: change.revoked ?? false,
        not_after_seconds: change.notAfterSeconds ?? 0,
      },
    ],
  };
  const [keysFile, input, output] = ['keys.json', 'loader-in.efi', 'loader-out.efi'].map((name) => join(node.folder, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(keysFile, JSON.stringify(keys));
  await writeFile(input, unsigned(await loaderOf(node.disk)));
  await run(tool, ['embed-keys', '--loader', input, '--out', output, '--keys', keysFile]);
  await replaceLoader(node.disk, await readFile(output));
}

/** Development builds are signed with the user's development keys. */
async function keyOfTheBuild(): Promise<{ readonly public_key: string; readonly secret_file: string }> {
  const { commit } = await signingKeys({ configured: { where: 'a test' }, profile: 'dev', release: false, now: new Date() });
  if (commit.secret_file === undefined) throw new Error('development keys are files');
  return { public_key: commit.public_key, secret_file: commit.secret_file };
}

async function strangersKey(folder: string): Promise<string> {
  const key = join(folder, 'stranger.pem');
  await run(tool, ['keygen', '--out', key]);
  return key;
}

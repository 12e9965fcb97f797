// SPDX-License-Identifier: PMPL-1.0-or-later
// The images that tests boot: as the build left them in out/, or with both slots filled. Made once, used through overlays.
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { artifactsOf, Disk, type Profile } from '../../build/src/testing.ts';
import { root } from './root.ts';

export type TestImage = 'fresh' | 'both';

const folder = join(root, 'out', 'test', 'images');

/** Where a computer of this name has its files. */
export function machineFolder(name: string): string {
  const short = name.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 60);
  return join(root, 'out', 'test', 'machines', `${short}-${createHash('sha256').update(name).digest('hex').slice(0, 8)}`);
}

interface Image {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
}

/** Tests of one file run side by side and want the same image. */
const making = new Map<string, Promise<Image>>();

/** `variant`: one that was built beside the usual image. */
export async function imageForTests(kind: TestImage, profile: Profile, variant?: string): Promise<Image> {
  const { folder: from, image } = artifactsOf(root, profile, variant);
  const built = existing(image, profile);
  const version = `${basename(from)}-${Math.round(statSync(built).mtimeMs)}`;
  const fixed = pinned(built, version);
  if (kind === 'fresh') return { path: fixed, format: 'raw' };
  const known = making.get(version) ?? bothSlots(fixed, version);
  making.set(version, known);
  return known;
}

/** The built image under a second name: a build that runs meanwhile replaces the first name, and overlays stay whole. */
function pinned(built: string, version: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${version}.raw`);
  if (!existsSync(path)) linkSync(built, path);
  return path;
}

async function bothSlots(built: string, version: string): Promise<Image> {
  const path = join(folder, `both-slots-${version}.qcow2`);
  if (!existsSync(path)) {
    const unfinished = `both-slots-${version}-${process.pid}`;
    const disk = await Disk.over({ path: built, format: 'raw' }, folder, unfinished);
    await disk.copySlot('A', 'B');
    await disk.setSlots({ A: { priority: 2, tries: 0, successful: true }, B: { priority: 1, tries: 0, successful: true } });
    renameSync(join(folder, `${unfinished}.qcow2`), path);
  }
  return { path, format: 'qcow2' };
}

export async function secureBootVariables(profile: Profile): Promise<string> {
  return existing(artifactsOf(root, profile).secureBootVariables, profile);
}

function existing(path: string, profile: Profile): string {
  if (!existsSync(path)) throw new Error(`${path} is missing: run \`just build-${profile}\` first (\`just test\` does)`);
  return path;
}

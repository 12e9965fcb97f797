// SPDX-License-Identifier: PMPL-1.0-or-later
// The Linux userland below everything else of the OS tree: the locked packages of the profile and the variant, fetched, unpacked and
// merged, with what their scripts would have done. Which and why: configs/base.ncl. How: ../base.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fetchPackages, packageFile } from '../base/fetch.ts';
import { type LockedPackage, lockedPackages } from '../base/lock.ts';
import { mergePackages, type TreeEntry, type Unpacked } from '../base/merge.ts';
import { chosenGroups, madeFiles, withDeclared } from '../base/replace.ts';
import { unpack, unpackedFolder } from '../base/unpack.ts';
import { digestOf } from '../engine/digests.ts';
import type { Json, Step, StepContext } from '../engine/types.ts';
import { roughSize } from '../units.ts';
import type { Build } from './build.ts';
import { writeJson } from './files.ts';

/** Raised when the same packages and configuration give another tree. */
const rules = 1;
/** Where an image says which packages it holds. */
const provenance = '/usr/lib/flatracoon/packages.json';
const made = ['/etc/passwd', '/etc/group', '/etc/shadow', '/etc/shells', '/etc/ssl/certs/ca-certificates.crt', provenance];

/** Beside the unpacked packages that it names, so that neither is there without the other. */
function baseFolder(build: Build): string {
  return join(build.cacheDir, 'base', digestOf(inputOf(build)).slice(0, 16));
}
export const baseTreeFile = (build: Build) => join(baseFolder(build), 'tree.json');

function inputOf({ config, lock, profile, variant }: Build) {
  const { source, suite, groups, left_out } = config.base;
  const names = chosenGroups(config.base, profile, variant.base);
  const effects = names.map((name) => {
    const { packages: _, ...rest } = groups[name] ?? { packages: [] };
    return [name, rest];
  });
  const packages = lockedPackages(lock, names).map((one) => [one.name, `${one.version} ${one.sha256}`]);
  return { rules, source, suite, groups: Object.fromEntries(effects), left_out, packages: Object.fromEntries(packages) } as Json;
}

export function baseStep(build: Build): Step {
  const folder = baseFolder(build);
  const { config, profile, variant, lock } = build;
  const names = chosenGroups(config.base, profile, variant.base);
  const packages = lockedPackages(lock, names);
  const groups = names.flatMap((name) => config.base.groups[name] ?? []);
  const madeFile = (path: string) => join(folder, path.slice(1).replaceAll('/', '.'));
  return {
    name: 'base',
    makes: `Linux userland: ${packages.length} packages of ${config.base.source} ${config.base.suite}`,
    inputs: [{ kind: 'value', name: 'base', value: inputOf(build) }],
    outputs: [baseTreeFile(build), ...made.map(madeFile)],
    async run(context) {
      const unpacked = await fetchAndUnpack(build, packages, context);
      const tree = withDeclared(mergePackages(unpacked, config.base.left_out), groups);
      const files = [...(await madeFiles(tree, groups)), provenanceOf(build, packages)];
      const entries: TreeEntry[] = [];
      for (const { path, mode, gid, text } of files) {
        await writeFile(context.temporary(madeFile(path)), text);
        entries.push({ path, kind: 'file', mode, uid: 0, gid, source: madeFile(path) });
      }
      const own = new Set(files.map(({ path }) => path));
      await writeJson(context.temporary(baseTreeFile(build)), {
        entries: [...tree.filter(({ path }) => !own.has(path)), ...entries] as unknown as Json,
      });
      return `${packages.length} packages, ${tree.length} entries, ${roughSize(packages.reduce((sum, one) => sum + one.size_bytes, 0))} of archives`;
    },
  };
}

async function fetchAndUnpack(build: Build, packages: readonly LockedPackage[], context: StepContext): Promise<Unpacked[]> {
  const { signal, onLine } = context;
  const cache = join(build.cacheDir, 'packages');
  const fetched = await fetchPackages(packages, { cache, suite: build.config.base.suite, signal, onLine });
  onLine(`${fetched} of ${packages.length} packages fetched`);
  const unpacked: Unpacked[] = [];
  const waiting = [...packages];
  const worker = async () => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      signal.throwIfAborted();
      const folder = unpackedFolder(join(build.cacheDir, 'base'), one.sha256);
      unpacked.push({ name: one.name, folder, entries: await unpack(packageFile(cache, one), folder, signal) });
    }
  };
  // dpkg-deb decompresses in one thread; as many as the engine runs steps.
  await Promise.all([worker(), worker()]);
  return unpacked.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function provenanceOf({ config }: Build, packages: readonly LockedPackage[]) {
  const { source, suite } = config.base;
  const text = `${JSON.stringify({ source, suite, packages }, undefined, 1)}\n`;
  return { path: provenance, mode: '0644', gid: 0, text };
}

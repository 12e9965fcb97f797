// SPDX-License-Identifier: PMPL-1.0-or-later
// The last step: manifest.json with every artifact's digest, and the artifacts under their versioned names beside the newest ones.
// A versioned name is a second name of the same file (a hard link), so it costs no space until the next build replaces the first.
import { link, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Digests } from '../engine/digests.ts';
import type { Step } from '../engine/types.ts';
import { renderManifest } from '../image/manifest.ts';
import type { Build } from './build.ts';
import { bundleFile } from './bundle.ts';
import { diskPlan, formatOutput, rawImage } from './disk.ts';
import { sizeOf } from './files.ts';
import { kernelFile } from './rust.ts';
import { certificateDigest, secureBootVars, signedLoader } from './signed-loader.ts';
import { readSlotReport, slotReport } from './slot.ts';

export const manifestFile = (build: Build) => join(build.outDir, 'manifest.json');
/** Versions that stay beside the newest; older ones are removed, or a day of development would fill the disk. */
const keptVersions = 2;

export function publishStep(build: Build, formatNames: readonly string[]): Step {
  const disks = [rawImage(build), ...formatNames.map((name) => formatOutput(build, name))];
  const versioned = disks.map((path) => versionedName(path, build.version));
  const artifacts = [
    ...disks,
    kernelFile(build),
    bundleFile(build),
    slotReport(build),
    signedLoader(build),
    secureBootVars(build),
  ];
  return {
    name: 'publish',
    makes: 'manifest.json and versioned names',
    inputs: [
      ...['kernel', 'bundle', 'slot', 'signed-loader', 'firmware-vars', 'disk', ...formatNames].map((step) => ({
        kind: 'step' as const,
        step,
      })),
      { kind: 'value', name: 'version', value: build.version },
      { kind: 'value', name: 'source', value: build.source },
    ],
    outputs: [manifestFile(build), ...versioned],
    async run(context) {
      const digests = await Digests.open(join(build.outDir, '.state', 'digests.json'));
      const files: Record<string, { size_bytes: number; sha256: string }> = {};
      for (const path of artifacts) {
        files[basename(path)] = { size_bytes: await sizeOf(path), sha256: (await digests.ofFile(path)) ?? '' };
      }
      for (const [n, path] of disks.entries()) {
        const name = versioned[n] ?? '';
        await link(path, context.temporary(name));
        const sha256 = files[basename(path)]?.sha256 ?? '';
        context.digested(name, sha256);
        context.stillIs(path, sha256);
        // A second name of the same file cannot be moved over a first one: rename(2) would do nothing and leave both.
        if (await sameFile(path, name)) await rm(name);
      }
      const text = renderManifest({
        about: { name: 'flatracoon-os', version: build.version, profile: build.profile, unreleased: build.keys.unreleased },
        source: build.source,
        source_date_epoch_seconds: build.sourceDateEpoch,
        plan: diskPlan(build),
        files,
        slot: await readSlotReport(build),
        signed_by: {
          commit_key: build.keys.commit.public_key,
          loader_certificate: certificateDigest(build),
          development_keys: build.keys.unreleased,
        },
      });
      await writeFile(context.temporary(manifestFile(build)), text);
      await removeOld(build, versioned);
      return build.version;
    },
  };
}

/** `flatracoon-os.raw` -> `flatracoon-os-0.1.0-dev+1a2b3c.raw` */
function versionedName(path: string, version: string): string {
  return join(dirname(path), basename(path).replace(/^flatracoon-os/, `flatracoon-os-${version}`));
}

async function sameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([stat(one), stat(other).catch(() => undefined)]);
  return b !== undefined && a.ino === b.ino && a.dev === b.dev;
}

async function removeOld(build: Build, current: readonly string[]): Promise<void> {
  const mine = new Set(current.map((path) => basename(path)));
  const old = (await readdir(build.outDir)).filter((name) => /^flatracoon-os-\d/.test(name) && !mine.has(name));
  const times = await Promise.all(old.map(async (name) => ({ name, ms: (await stat(join(build.outDir, name))).mtimeMs })));
  const versions = [...new Map(times.map(({ name, ms }) => [versionOf(name), ms])).entries()].sort((a, b) => b[1] - a[1]);
  const gone = new Set(versions.slice(keptVersions).map(([version]) => version));
  for (const name of old) if (gone.has(versionOf(name))) await rm(join(build.outDir, name), { force: true });
}

function versionOf(name: string): string {
  return name.replace(/^flatracoon-os-/, '').replace(/(\.secure-boot)?(\.libvirt\.xml|\.raw|\.qcow2|\.\w+)$/, '');
}

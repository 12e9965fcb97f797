// SPDX-License-Identifier: PMPL-1.0-or-later
// The disk: its plan from the configuration, then the raw image, then the formats that wrap it. `image/` knows how; here stands
// what goes where.
import { join } from 'node:path';
import type { Json, Step } from '../engine/types.ts';
import { applyImage, type Content } from '../image/apply.ts';
import { formatNamed } from '../image/formats/index.ts';
import { type ImagePlan, planImage } from '../image/plan.ts';
import { formatSize, roughSize } from '../units.ts';
import type { Build } from './build.ts';
import { sizeOf } from './files.ts';
import { signedLoader } from './signed-loader.ts';
import { slotImage } from './slot.ts';

export const rawImage = (build: Build) => join(build.outDir, 'flatracoon-os.raw');
/** Beside what the variant asks for: templates that make a disk a virtual machine. */
const templates = ['libvirt', 'libvirt-secure-boot'];
/** What the templates ask of a host: twice what the tests' smallest machine has. */
const machine = { memory_bytes: 512 * 2 ** 20, cpus: 2, tpm: true };

export function diskPlan(build: Build): ImagePlan {
  const { sector_bytes, alignment_bytes, size_bytes } = build.variant;
  return planImage({
    partitions: build.config.partitions,
    disk: { sector_bytes, alignment_bytes, ...(size_bytes === undefined ? {} : { size_bytes }) },
    seed: `flatracoon-os/${build.profile}`,
    slots: 'A',
  });
}

export function diskStep(build: Build): Step {
  const plan = diskPlan(build);
  return {
    name: 'disk',
    makes: `raw disk of ${formatSize(plan.size_bytes)}`,
    inputs: [
      { kind: 'step', step: 'signed-loader' },
      { kind: 'step', step: 'slot' },
      { kind: 'value', name: 'disk plan', value: plan as unknown as Json },
      { kind: 'value', name: 'source date', value: build.sourceDateEpoch },
    ],
    outputs: [rawImage(build)],
    async run(context) {
      const contents: Record<string, Content> = {};
      for (const partition of plan.partitions.filter((one) => one.filled)) {
        contents[partition.name] =
          partition.content === 'fat'
            ? { kind: 'fat', files: [{ path: 'EFI/BOOT/BOOTX64.EFI', source: signedLoader(build) }] }
            : { kind: 'slot', image: slotImage(build) };
      }
      const made = await applyImage({
        plan,
        contents,
        out: context.temporary(rawImage(build)),
        source_date_epoch_seconds: build.sourceDateEpoch,
        signal: context.signal,
        onPartition: (name) => context.log.progress(`writing ${name}`),
      });
      context.digested(rawImage(build), made.sha256);
      return roughSize(made.size_bytes);
    },
  };
}

/** One step per format of the variant and per template. */
export function formatSteps(build: Build): Step[] {
  const wanted = [...build.variant.formats.filter((name) => name !== 'raw'), ...templates];
  return wanted.map((name) => formatStep(build, name));
}

export function formatOutput(build: Build, name: string): string {
  return join(build.outDir, `flatracoon-os${formatNamed(name, `images/variants/${build.variant.name}.ncl`).suffix}`);
}

function formatStep(build: Build, name: string): Step {
  const format = formatNamed(name, `images/variants/${build.variant.name}.ncl`);
  const about = { name: 'flatracoon-os', version: build.version, profile: build.profile, unreleased: build.keys.unreleased };
  const output = formatOutput(build, name);
  return {
    name,
    makes: format.makes,
    inputs: [
      { kind: 'step', step: 'disk' },
      { kind: 'value', name: 'image', value: { ...about, ...machine } },
    ],
    outputs: [output],
    async run(context) {
      await format.make({
        raw: rawImage(build),
        plan: diskPlan(build),
        about,
        machine,
        out: context.temporary(output),
        disk_name: 'flatracoon-os.qcow2',
        signal: context.signal,
      });
      return roughSize(await sizeOf(context.temporary(output)));
    },
  };
}

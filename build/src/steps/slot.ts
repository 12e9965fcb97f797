// SPDX-License-Identifier: PMPL-1.0-or-later
// The slot image: EROFS, verity tree, trailer with the signed commit; and the repository that the commit was made in.
// tools/slot does it. A key in a token signs apart: the tool writes the commit, the token signs it, the tool puts it in.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Json, Step } from '../engine/types.ts';
import { InternalError } from '../errors.ts';
import { checkSlotFits } from '../image/content.ts';
import { slot } from '../toolchain/host-tools.ts';
import { roughSize } from '../units.ts';
import type { Build } from './build.ts';
import { readJson, writeJson } from './files.ts';
import { treeFile } from './root-fs.ts';
import { toolFile } from './rust.ts';

export const slotImage = (build: Build) => join(build.workDir, 'slot.img');
export const slotReport = (build: Build) => join(build.outDir, 'slot.json');
export const slotCommit = (build: Build) => join(build.workDir, 'slot.commit');

export function slotStep(build: Build): Step {
  const spec = slotSpec(build);
  const { commit } = build.keys;
  return {
    name: 'slot',
    makes: 'signed and verified slot image',
    inputs: [
      { kind: 'step', step: 'host-tools' },
      { kind: 'step', step: 'root-fs' },
      // The tree names these files; their contents are as much its input as the tree.
      { kind: 'step', step: 'bundle' },
      { kind: 'value', name: 'slot', value: spec },
      { kind: 'value', name: 'commit key', value: commit.public_key },
    ],
    outputs: [slotImage(build), slotReport(build), slotCommit(build)],
    async run(context) {
      const tool = toolFile(build, 'slot');
      const scratch = await context.scratch();
      const specFile = join(scratch, 'spec.json');
      const image = context.temporary(slotImage(build));
      await checkSlotFits(treeFile(build), slotPartition(build));
      await writeJson(specFile, spec);
      const signing = commit.secret_file === undefined ? ['--unsigned'] : ['--key', commit.secret_file];
      const common = [
        '--tree',
        treeFile(build),
        '--spec',
        specFile,
        '--out',
        image,
        '--commit',
        context.temporary(slotCommit(build)),
      ];
      const report = await slot(tool, ['build', ...common, ...signing], context);
      if (commit.secret_file === undefined) {
        const signature = join(scratch, 'signature');
        await writeFile(signature, await commit.sign(await readFile(context.temporary(slotCommit(build)))));
        const attach = ['attach-signature', '--image', image, '--signature', signature, '--public-key', commit.public_key];
        await slot(tool, attach, context);
      }
      await writeJson(context.temporary(slotReport(build)), {
        ...report,
        signed_by: commit.public_key,
        ...forDirectBoot(report),
      });
      return `${roughSize(Number(report.used_bytes ?? 0))} used of ${roughSize(Number(report.partition_bytes ?? 0))}`;
    },
  };
}

/** What the kernel's command line says of the slot in a direct boot. */
function forDirectBoot(report: Readonly<Record<string, unknown>>) {
  const verity = report.verity as { readonly root: string; readonly salt: string; readonly data_blocks: number };
  return { verity_root: verity.root, verity_salt: verity.salt, data_blocks: verity.data_blocks };
}

export async function readSlotReport(build: Build): Promise<Json> {
  return (await readJson(slotReport(build))) as Json;
}

function slotSpec(build: Build) {
  const { config, version, sourceDateEpoch, keys, profile } = build;
  return {
    version,
    refs: [`flatracoon-os/x86_64/${config.update.channel}`],
    rollback_index: config.update.rollback_index,
    epoch: sourceDateEpoch,
    uuid_seed: `flatracoon-os/${profile}`,
    partition_bytes: slotPartition(build).size_bytes,
    unreleased: keys.unreleased,
  };
}

function slotPartition({ config }: Build) {
  const partition = config.partitions.find((one) => one.slot === 'A');
  if (partition === undefined) throw new InternalError('no partition is slot A: the rules of the configuration let that through');
  return partition;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// `bench kernel`: what the kernel's operations cost. How it is measured: `bench/kernel-run.ts`.
import { readFileSync } from 'node:fs';
import type { Figure } from '../../bench/figures.ts';
import { kernelFigures, kernelTable, missed } from '../../bench/kernel.ts';
import { countInstructions, crossCpuRatio } from '../../bench/kernel-run.ts';
import { kernelSize } from '../../bench/kernel-size.ts';
import { applySteps } from '../../engine/apply.ts';
import { engineOptions, prepareBuild } from '../../steps/build.ts';
import { kernelFile, kernelStep, toolFile, toolsStep } from '../../steps/rust.ts';
import { type CommandContext, flag } from '../command.ts';
import { type Bench, benchFolder, report } from './bench.ts';

export const bench: Bench = {
  usage: '[--no-ratio]',
  help: `instructions of the production kernel's operations on one emulated CPU, beside those of other systems; calls between
                 two CPUs; size. Builds what it needs
  --no-ratio     leave out the two CPUs`,
  options: { 'no-ratio': { type: 'boolean' } },
  run,
};

async function run(context: CommandContext): Promise<number> {
  const { root, signal, log } = context;
  const build = await prepareBuild({ root, profile: 'prod', release: false, signal });
  await applySteps(engineOptions(build, log, signal), [kernelStep(build), toolsStep(build)]);
  const folder = benchFolder(root, 'kernel');
  const kernel = kernelFile(build);
  const say = (text: string) => log.info(`bench: ${text}`);
  const bench = { root, kernel, bundleTool: toolFile(build, 'bundle'), folder, say, signal };
  const counts = await countInstructions(bench);
  const figures = kernelFigures(counts);
  const others: Figure[] = [
    {
      name: 'kernel.longest_interrupts_off.console',
      value: counts.longestInterruptsOff.console,
      unit: 'instructions',
      how: 'the same where the kernel says a line on the serial console, which waits for the wire',
    },
    ...kernelSize(readFileSync(kernel)),
  ];
  if (!flag(context.values, 'no-ratio')) others.push(...ratioFigures(await crossCpuRatio(bench)));
  const table = `${kernelTable(figures, others)}\n\nrefused on that path: ${counts.refusals}`;
  return report(context, 'kernel', { figures: [...figures, ...others], table, problems: missed(figures) });
}

function ratioFigures({ sameNs, crossNs }: { readonly sameNs: number; readonly crossNs: number }): Figure[] {
  const trip = 'a call and its reply with four words, between two address spaces, wall time of the emulator, best of five';
  return [
    { name: 'ipc.call_reply.same_cpu.wall', value: sameNs / 1e9, unit: 's', how: `${trip}, on one CPU of two` },
    { name: 'ipc.call_reply.cross_cpu.wall', value: crossNs / 1e9, unit: 's', how: `${trip}, from one CPU to another` },
    { name: 'ipc.call_reply.cross_cpu.ratio', value: crossNs / sameNs, unit: 'ratio', how: 'the second divided by the first' },
  ];
}

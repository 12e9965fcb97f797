// SPDX-License-Identifier: PMPL-1.0-or-later
// `bench image`: what building and booting an image costs; `bench kernel`: what the kernel's operations cost. Each prints a table and
// writes out/bench/<suite>.json. A number that is too high is marked, and stays a number; only `--gate` makes it a failure.
// How each is measured: `bench/builds.ts`, `bench/boots.ts`, `bench/kernel-run.ts`.
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BootFigures, measureBoot } from '../bench/boots.ts';
import { measureBuilds } from '../bench/builds.ts';
import { type Figure, figuresJson, figuresTable } from '../bench/figures.ts';
import { kernelFigures, kernelTable, missed } from '../bench/kernel.ts';
import { countInstructions, crossCpuRatio } from '../bench/kernel-run.ts';
import { kernelSize } from '../bench/kernel-size.ts';
import { applySteps } from '../engine/apply.ts';
import { UserError } from '../errors.ts';
import { artifactsOf, built } from '../qemu/artifacts.ts';
import { engineOptions, prepareBuild } from '../steps/build.ts';
import { kernelFile, kernelStep, toolFile, toolsStep } from '../steps/rust.ts';
import { run } from '../toolchain/exec.ts';
import { type Command, type CommandContext, flag } from './command.ts';

export const command: Command = {
  usage: 'image [--no-builds] [--no-boots] [--with-linux] | kernel [--gate] [--no-ratio]',
  help: `Measures and writes out/bench/SUITE.json, an array of {name, value, unit, ...}, and prints a table.

  kernel         instructions of the production kernel's operations on one emulated CPU, beside those of other systems; calls between
                 two CPUs; size. Builds what it needs
  --gate         exit code 1 when an operation takes more than it must, in instructions or in heavy operations
  --no-ratio     leave out the two CPUs
  image          cold and repeated builds, sizes, boot in guest instructions and in wall time
  --no-builds    leave out the builds (they take a clone and a quarter of an hour)
  --no-boots     leave out the boots
  --with-linux   also boot Debian's kernel and systemd in the same emulator and compare
                 (needs root and mmdebstrap, see scripts/peer/linux-guest.sh)`,
  options: {
    'no-builds': { type: 'boolean' },
    'no-boots': { type: 'boolean' },
    'with-linux': { type: 'boolean' },
    gate: { type: 'boolean' },
    'no-ratio': { type: 'boolean' },
  },
  positionals: 1,
  async run(context) {
    const [suite] = context.positionals;
    if (suite === 'kernel') return benchKernel(context);
    if (suite !== 'image') {
      throw new UserError(suite === undefined ? 'bench: which suite?' : `bench: there is no suite ${suite}`, {
        code: 'bench/unknown-suite',
        hint: 'use `bench image` or `bench kernel`',
      });
    }
    const figures = await measure(context);
    const out = join(context.root, 'out', 'bench');
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, 'image.json'), figuresJson(figures));
    context.print(context.json ? figuresJson(figures) : `${figuresTable(figures)}\n\nout/bench/image.json`);
    return 0;
  },
};

async function benchKernel(context: CommandContext): Promise<number> {
  const { root, signal, log } = context;
  const build = await prepareBuild({ root, profile: 'prod', release: false, signal });
  await applySteps(engineOptions(build, log, signal), [kernelStep(build), toolsStep(build)]);
  const out = join(root, 'out', 'bench');
  const folder = join(out, 'kernel');
  mkdirSync(folder, { recursive: true });
  const kernel = kernelFile(build);
  const say = (text: string) => log.info(`bench: ${text}`);
  const bench = { root, kernel, bundleTool: toolFile(build, 'bundle'), folder, say, signal };
  const counts = await countInstructions(bench);
  const figures = kernelFigures(counts);
  const others = kernelSize(readFileSync(kernel));
  if (!flag(context.values, 'no-ratio')) others.push(...ratioFigures(await crossCpuRatio(bench)));
  const json = figuresJson([...figures, ...others]);
  writeFileSync(join(out, 'kernel.json'), json);
  context.print(
    context.json ? json : `${kernelTable(figures, others)}\n\nrefused on that path: ${counts.refusals}\nout/bench/kernel.json`,
  );
  const problems = missed(figures);
  if (!flag(context.values, 'gate') || problems.length === 0) return 0;
  for (const problem of problems) log.info(`gate: ${problem}`);
  return 1;
}

function ratioFigures({ sameNs, crossNs }: { readonly sameNs: number; readonly crossNs: number }): Figure[] {
  const trip = 'a call and its reply with four words, between two address spaces, wall time of the emulator, best of five';
  return [
    { name: 'ipc.call_reply.same_cpu.wall', value: sameNs / 1e9, unit: 's', how: `${trip}, on one CPU of two` },
    { name: 'ipc.call_reply.cross_cpu.wall', value: crossNs / 1e9, unit: 's', how: `${trip}, from one CPU to another` },
    { name: 'ipc.call_reply.cross_cpu.ratio', value: crossNs / sameNs, unit: 'ratio', how: 'the second divided by the first' },
  ];
}

async function measure(context: CommandContext): Promise<Figure[]> {
  const { root, signal, values } = context;
  const say = (text: string) => context.log.info(`bench: ${text}`);
  const { image } = artifactsOf(root, 'dev');
  built(image, 'dev');
  const figures = await sizes(root);
  if (!flag(values, 'no-boots')) figures.push(...(await boots(context, image, say)));
  if (!flag(values, 'no-builds'))
    figures.push(...(await measureBuilds({ root, signal, say, clone: join(root, 'out', 'bench', 'clone') })));
  return figures;
}

async function sizes(root: string): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const profile of ['dev', 'prod'] as const) {
    const { image } = artifactsOf(root, profile);
    for (const [kind, path] of [
      ['raw', image],
      ['qcow2', image.replace(/\.raw$/, '.qcow2')],
    ] as const) {
      if (!existsSync(path)) continue;
      const { size, blocks } = statSync(path);
      figures.push({
        name: `image.${profile}.${kind}.length`,
        value: size,
        unit: 'bytes',
        how: `length of ${path.split('/').at(-1)}`,
      });
      figures.push({
        name: `image.${profile}.${kind}.stored`,
        value: blocks * 512,
        unit: 'bytes',
        how: 'what the file takes on the disk',
      });
    }
  }
  return figures;
}

async function boots(context: CommandContext, image: string, say: (text: string) => void): Promise<Figure[]> {
  const { root } = context;
  const ours = await measureBoot({ name: 'flatracoon', image, ready: /^flatracoon: ready /, timeoutMs: 600_000 }, { root, say });
  const figures = bootFigures('boot', ours);
  if (!flag(context.values, 'with-linux')) return figures;
  const peerImage = join(root, 'out', 'bench', 'linux.raw');
  if (!existsSync(peerImage)) {
    say('making the Linux guest');
    mkdirSync(join(root, 'out', 'bench'), { recursive: true });
    await run('bash', [join(root, 'scripts', 'peer', 'linux-guest.sh'), peerImage], { signal: context.signal, onLine: say });
  }
  const peer = await measureBoot({ name: 'linux', image: peerImage, ready: /^peer: ready/, timeoutMs: 1_200_000 }, { root, say });
  const compare = (name: string, value: number): Figure => ({
    name,
    value,
    unit: 'ratio',
    must: 1 / 4,
    goal: 1 / 10,
    how: 'ours divided by Debian kernel and systemd, same emulator, same run',
  });
  return [
    ...figures,
    ...bootFigures('boot.linux', peer),
    compare('boot.instructions.ratio', ours.instructions / peer.instructions),
    compare('boot.wall.ratio', ours.wallS / peer.wallS),
  ];
}

function bootFigures(name: string, { instructions, wallS }: BootFigures): Figure[] {
  return [
    {
      name: `${name}.instructions`,
      value: instructions,
      unit: 'instructions',
      how: "firmware's hand-over to ready, counted, one CPU",
    },
    { name: `${name}.wall`, value: wallS, unit: 's', how: "firmware's hand-over to ready, median of three, TCG, one CPU" },
  ];
}

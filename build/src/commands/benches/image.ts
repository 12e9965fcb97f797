// SPDX-License-Identifier: PMPL-1.0-or-later
// `bench image`: what building and booting an image costs. How each is measured: `bench/builds.ts`, `bench/boots.ts`.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type BootFigures, measureBoot } from '../../bench/boots.ts';
import { measureBuilds } from '../../bench/builds.ts';
import { type Figure, figuresTable } from '../../bench/figures.ts';
import { artifactsOf, built } from '../../qemu/artifacts.ts';
import { run as runProgram } from '../../toolchain/exec.ts';
import { type CommandContext, flag } from '../command.ts';
import { type Bench, benchFolder, report } from './bench.ts';

export const bench: Bench = {
  usage: '[--no-builds] [--no-boots] [--with-linux]',
  help: `cold and repeated builds, sizes, boot in guest instructions and in wall time
  --no-builds    leave out the builds (they take a clone and a quarter of an hour)
  --no-boots     leave out the boots
  --with-linux   also boot Debian's kernel and systemd in the same emulator and compare
                 (needs root and mmdebstrap, see scripts/peer/linux-guest.sh)`,
  options: {
    'no-builds': { type: 'boolean' },
    'no-boots': { type: 'boolean' },
    'with-linux': { type: 'boolean' },
  },
  async run(context) {
    const figures = await measure(context);
    return report(context, 'image', { figures, table: `${figuresTable(figures)}\n` });
  },
};

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
  const peerImage = join(benchFolder(root), 'linux.raw');
  if (!existsSync(peerImage)) {
    say('making the Linux guest');
    await runProgram('bash', [join(root, 'scripts', 'peer', 'linux-guest.sh'), peerImage], {
      signal: context.signal,
      onLine: say,
    });
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

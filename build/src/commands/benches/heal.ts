// SPDX-License-Identifier: PMPL-1.0-or-later
// `bench heal`: how long components that die are away, and what comes of corrupted ones. How it is measured: `bench/heal-run.ts`.
import { figuresTable } from '../../bench/figures.ts';
import { healFigures, missedHealing, parseHeal } from '../../bench/heal.ts';
import { healBundle, healEnds } from '../../bench/heal-run.ts';
import { artifactsOf, built } from '../../qemu/artifacts.ts';
import { Disk } from '../../qemu/disk.ts';
import { directBoot } from '../../qemu/prepare.ts';
import { startMachine } from '../../qemu/start.ts';
import { prepareBuild } from '../../steps/build.ts';
import type { CommandContext } from '../command.ts';
import { type Bench, benchFolder, report } from './bench.ts';

/** A thousand deaths of each under instruction counting take long on a busy host. */
const runMs = 3_600_000;

export const bench: Bench = {
  usage: '[--kills N] [--faults N] [--seed N]',
  help: `each component killed at random instructions (300 times), then corrupted (--faults, 100): time to the first good reply,
                 what came of it, what is left behind. Uses what \`build-dev\` left
  --seed         other instants and bits; the same seed draws the same`,
  options: { kills: { type: 'string' }, faults: { type: 'string' }, seed: { type: 'string' } },
  run,
};

async function run(context: CommandContext): Promise<number> {
  const { root, signal } = context;
  const number = (name: string, otherwise: number) => Number(context.values[name] ?? otherwise);
  const artifacts = artifactsOf(root, 'dev');
  const image = built(artifacts.image, 'dev');
  const { config } = await prepareBuild({ root, profile: 'dev', release: false, signal });
  const folder = benchFolder(root, 'heal');
  const [kills, faults, seed] = [number('kills', 300), number('faults', 100), number('seed', 1)];
  const initrd = await healBundle({ root, config, artifacts, kills, faults, seed, folder, signal });
  const disk = await Disk.over({ path: image, format: 'raw' }, folder, 'disk');
  const machine = await startMachine({
    name: 'bench heal',
    boot: { ...(await directBoot(artifacts, 'dev')), initrd },
    disks: [{ path: disk.path, format: disk.format }],
    networks: [{ address: '52:54:00:12:34:56' }],
    cpus: 1,
    icount: true,
    accelerator: 'tcg',
    memoryMiB: 512,
    logFolder: folder,
    expected: ['server-fault', 'server-panic', 'capability-fault'],
  });
  try {
    await machine.console.waitFor(healEnds, { timeoutMs: runMs });
    const figures = healFigures(parseHeal(machine.console.lines.map(({ text }) => text)));
    return report(context, 'heal', { figures, table: figuresTable(figures), problems: missedHealing(figures) });
  } finally {
    await machine.close();
  }
}

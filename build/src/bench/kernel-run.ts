// SPDX-License-Identifier: PMPL-1.0-or-later
// Boots `servers-rs/tests/bench` in root's place and reads what it says: counts on one CPU, wall time on two.
import { join } from 'node:path';
import { InternalError } from '../errors.ts';
import { startMachine } from '../qemu/start.ts';
import { run } from '../toolchain/exec.ts';
import { type HeavyOperation, heavyOperations } from './kernel-rows.ts';
import { stageBundle } from './stage-bundle.ts';

export interface KernelBench {
  readonly root: string;
  readonly kernel: string;
  readonly bundleTool: string;
  /** For what is made on the way. */
  readonly folder: string;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/** What one loop took. */
export interface Counted {
  readonly operations: number;
  readonly instructions: number;
  /** Over the whole loop. */
  readonly heavy: Readonly<Partial<Record<HeavyOperation, number>>>;
}

export interface Counts {
  readonly rows: ReadonlyMap<string, Counted>;
  /** Instructions. */
  readonly longestInterruptsOff: number;
  /** What the kernel said to a call without the right, with a revoked capability, with a handle of a slot's former life. */
  readonly refusals: string;
}

/** Under instruction counting the slowest row takes a minute of a busy host. */
const countsMs = 900_000;
const ratioMs = 300_000;

export async function countInstructions(bench: KernelBench): Promise<Counts> {
  const plugins = await Promise.all(['heavy-operations', 'interrupts-off'].map((name) => compilePlugin(bench, name)));
  bench.say('counting instructions, one CPU');
  const lines = await boot(bench, [], { cpus: 1, icount: true, plugins }, countsMs);
  return parseCounts(lines);
}

async function compilePlugin({ root, folder }: KernelBench, name: string): Promise<string> {
  const out = join(folder, `${name}.so`);
  await run('gcc', ['-shared', '-fPIC', '-O2', '-o', out, join(root, 'scripts/peer', `${name}.c`)]);
  return out;
}

/** Round trips between CPUs, in wall time: ratio to those on one CPU. */
export async function crossCpuRatio(bench: KernelBench): Promise<{ readonly sameNs: number; readonly crossNs: number }> {
  bench.say('wall time on two CPUs');
  const lines = await boot(bench, ['ratio'], { cpus: 2 }, ratioMs);
  const found = lines
    .map((line) => /^bench ratio round_trips (\d+) same_cpu_ns (\d+) cross_cpu_ns (\d+)$/.exec(line))
    .find(Boolean);
  if (found == null) throw new InternalError('the benchmark said no ratio');
  const [, trips, same, cross] = found.map(Number);
  return { sameNs: same! / trips!, crossNs: cross! / trips! };
}

/** Errors: `InternalError` when the program says that something failed, or rows and reports do not belong together. */
export function parseCounts(lines: readonly string[]): Counts {
  const rows = lines.flatMap((line) => {
    const row = /^bench row (\S+) operations (\d+) instructions (\d+)$/.exec(line);
    return row === null ? [] : [{ name: row[1]!, operations: Number(row[2]), instructions: Number(row[3]) }];
  });
  const reports = lines.flatMap((line) => /emulator: heavy: (\d+) (.*)$/.exec(line)?.[2] ?? []);
  if (rows.length !== reports.length)
    throw new InternalError(`${rows.length} rows, but ${reports.length} reports of the emulator`);
  const longest = lines.map((line) => /emulator: interrupts-off: longest=(\d+) /.exec(line)).find(Boolean)?.[1];
  const refusals = lines.map((line) => /^bench refused (.*)$/.exec(line)).find(Boolean)?.[1];
  if (longest === undefined || refusals === undefined) throw new InternalError('the benchmark did not say all');
  return {
    rows: new Map(rows.map(({ name, ...row }, n) => [name, { ...row, heavy: heavyOf(reports[n]!) }])),
    longestInterruptsOff: Number(longest),
    refusals,
  };
}

function heavyOf(report: string): Partial<Record<HeavyOperation, number>> {
  const counts = Object.fromEntries([...report.matchAll(/(\w+) (\d+)/g)].map(([, name, count]) => [name!, Number(count)]));
  return Object.fromEntries(heavyOperations.map((name) => [name, counts[name] ?? 0]));
}

async function boot(
  bench: KernelBench,
  args: readonly string[],
  machineOptions: { readonly cpus: number; readonly icount?: boolean; readonly plugins?: readonly string[] },
  timeoutMs: number,
): Promise<string[]> {
  const machine = await startMachine({
    name: `bench ${args.join(' ')}`.trim(),
    boot: {
      kind: 'direct',
      kernel: bench.kernel,
      initrd: await stageBundle({ ...bench, program: 'bench', profile: 'prod', args }),
    },
    memoryMiB: 512,
    accelerator: 'tcg',
    logFolder: bench.folder,
    ...machineOptions,
  });
  try {
    const [, end, why] = await machine.console.waitFor(/^bench (end|failed: (.*))$/, { timeoutMs });
    if (end !== 'end') throw new InternalError(`the benchmark failed: ${why}`, {});
    await machine.quit();
    if (machineOptions.plugins !== undefined)
      await machine.console.waitFor(/emulator: interrupts-off: longest=/, { timeoutMs: 10_000 });
    return machine.console.lines.map(({ text }) => text);
  } finally {
    await machine.close();
  }
}

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
  readonly longestInterruptsOff: { readonly operations: number; readonly console: number };
  /** What the kernel said to a call without the right, with a revoked capability, with a handle of a slot's former life. */
  readonly refusals: string;
}

/** Under instruction counting the slowest row takes a minute of a busy host. */
const countsMs = 900_000;
const ratioMs = 300_000;

export async function countInstructions(bench: KernelBench): Promise<Counts> {
  const plugins = await Promise.all(['heavy-operations', 'interrupts-off'].map((name) => compilePlugin(bench, name)));
  bench.say('counting instructions, one CPU');
  const counted = { cpus: 1, icount: true, plugins };
  const counts = parseCounts(await boot(bench, { program: 'bench', args: [] }, counted, countsMs));
  // Whatever the tests in the guest make the kernel do counts too.
  const longest = [counts.longestInterruptsOff];
  for (const suite of suites) {
    bench.say(`the longest run with interrupts off, in ${suite.program}`);
    longest.push(longestOf(await boot(bench, suite, { ...counted, plugins: plugins.slice(1) }, countsMs)));
  }
  const of = (kind: 'operations' | 'console') => Math.max(...longest.map((one) => one[kind]));
  return { ...counts, longestInterruptsOff: { operations: of('operations'), console: of('console') } };
}

interface Program {
  readonly program: string;
  readonly args: readonly string[];
}

/** Programs of `tests/kernel` that run on one CPU and end by themselves. */
const suites: readonly Program[] = [
  { program: 'attacks', args: [] },
  { program: 'hostile', args: ['calls=200000'] },
];

async function compilePlugin({ root, folder }: KernelBench, name: string): Promise<string> {
  const out = join(folder, `${name}.so`);
  await run('gcc', ['-shared', '-fPIC', '-O2', '-o', out, join(root, 'scripts/peer', `${name}.c`)]);
  return out;
}

/** Round trips between CPUs, in wall time: ratio to those on one CPU. */
export async function crossCpuRatio(bench: KernelBench): Promise<{ readonly sameNs: number; readonly crossNs: number }> {
  bench.say('wall time on two CPUs');
  const lines = await boot(bench, { program: 'bench', args: ['ratio'] }, { cpus: 2 }, ratioMs);
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
  const refusals = lines.map((line) => /^bench refused (.*)$/.exec(line)).find(Boolean)?.[1];
  if (refusals === undefined) throw new InternalError('the benchmark did not say all');
  return {
    rows: new Map(rows.map(({ name, ...row }, n) => [name, { ...row, heavy: heavyOf(reports[n]!) }])),
    longestInterruptsOff: longestOf(lines),
    refusals,
  };
}

/** The longest run of the kernel's operations, and of those in which it said a line on the serial console itself, byte for byte. */
export function longestOf(lines: readonly string[]): { readonly operations: number; readonly console: number } {
  const runs = lines.flatMap((line) => {
    const found = /emulator: interrupts-off: run=(\d+) function=(\S+)/.exec(line);
    return found === null ? [] : [{ length: Number(found[1]), says: found[2]!.includes('console') }];
  });
  const longest = (says: boolean) => Math.max(0, ...runs.filter((run) => run.says === says).map(({ length }) => length));
  if (runs.length === 0) throw new InternalError('the emulator told no run with interrupts off');
  return { operations: longest(false), console: longest(true) };
}

function heavyOf(report: string): Partial<Record<HeavyOperation, number>> {
  const counts = Object.fromEntries([...report.matchAll(/(\w+) (\d+)/g)].map(([, name, count]) => [name!, Number(count)]));
  return Object.fromEntries(heavyOperations.map((name) => [name, counts[name] ?? 0]));
}

async function boot(
  bench: KernelBench,
  { program, args }: Program,
  machineOptions: { readonly cpus: number; readonly icount?: boolean; readonly plugins?: readonly string[] },
  timeoutMs: number,
): Promise<string[]> {
  const machine = await startMachine({
    name: `bench ${program} ${args.join(' ')}`.trim(),
    boot: {
      kind: 'direct',
      kernel: bench.kernel,
      initrd: await stageBundle({ ...bench, program, profile: 'prod', args }),
    },
    memoryMiB: 512,
    accelerator: 'tcg',
    logFolder: bench.folder,
    ...machineOptions,
  });
  try {
    const [, end, why] = await machine.console.waitFor(new RegExp(`^${program} (end|failed: (.*))$`), { timeoutMs });
    if (end !== 'end') throw new InternalError(`${program} failed: ${why}`, {});
    await machine.quit();
    if (machineOptions.plugins !== undefined)
      await machine.console.waitFor(/emulator: interrupts-off: longest=/, { timeoutMs: 10_000 });
    return machine.console.lines.map(({ text }) => text);
  } finally {
    await machine.close();
  }
}

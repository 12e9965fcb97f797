// SPDX-License-Identifier: PMPL-1.0-or-later
// `trace`: what each CPU of a development node did last, as a file for ui.perfetto.dev. The node is stopped and the kernel's rings
// are read out of its memory, so that looking changes nothing. Read next: `trace/ring.ts`, `trace/perfetto.ts`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../errors.ts';
import { artifactsOf, built } from '../qemu/artifacts.ts';
import { prepareMachine } from '../qemu/prepare.ts';
import { startMachine } from '../qemu/start.ts';
import { temporaryFolder } from '../qemu/workspace.ts';
import { operationNames, perfettoTrace } from '../trace/perfetto.ts';
import { readRings, ringsAddress, ringsBytes, type TraceRecord } from '../trace/ring.ts';
import { parseDurationUs } from '../units.ts';
import { type Command, type CommandContext, text } from './command.ts';

export const command: Command = {
  usage: '[--after DURATION] [--smp N] [--out FILE]',
  help: `Boots the development build without firmware, stops it, and saves what each CPU did last (system calls, faults, interrupts, who
ran) as a trace that https://ui.perfetto.dev opens. Needs \`just build-dev\`.

  --after DURATION   how long after \`flatracoon: ready\`; 0s by default: the end of the boot
  --smp N            CPUs, 2 by default; of more than 8 the first 8 are traced
  --out FILE         out/trace.json by default`,
  options: { after: { type: 'string' }, smp: { type: 'string' }, out: { type: 'string' } },
  async run(context) {
    const afterUs = parseDurationUs(text(context.values, 'after') ?? '0s');
    const cpus = Number(text(context.values, 'smp') ?? '2');
    if (afterUs === undefined || !Number.isInteger(cpus) || cpus < 1 || cpus > 64) {
      throw new UserError('trace: --after is a duration, --smp a number from 1 to 64', {
        code: 'trace/option',
        hint: 'for example `just trace --after 5s --smp 4`',
      });
    }
    const records = await record(context, cpus, afterUs / 1_000);
    const operations = operationNames(readFileSync(join(context.root, 'kernel-rs/abi/src/op.rs'), 'utf8'));
    const out = resolve(text(context.values, 'out') ?? join(context.root, 'out', 'trace.json'));
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, JSON.stringify(perfettoTrace(records, operations)));
    const times = records.map(({ timeNs }) => timeNs);
    const spanMs = times.length === 0 ? 0 : (Math.max(...times) - Math.min(...times)) / 1e6;
    context.print(
      context.json
        ? JSON.stringify({ out, records: records.length, spanMs })
        : `${relative(process.cwd(), out)}: ${records.length} records, ${spanMs.toFixed(1)} ms; open it at https://ui.perfetto.dev`,
    );
    return 0;
  },
};

async function record({ root }: CommandContext, cpus: number, afterMs: number): Promise<TraceRecord[]> {
  const artifacts = artifactsOf(root, 'dev');
  const address = ringsAddress(readFileSync(built(artifacts.kernel, 'dev')));
  const folder = temporaryFolder();
  try {
    const wishes = {
      profile: 'dev',
      image: undefined,
      slot: undefined,
      cpus,
      memoryMiB: 512,
      secureBoot: false,
      direct: true,
      gdb: undefined,
      icount: false,
    } as const;
    const machine = await startMachine({ name: 'trace', ...(await prepareMachine(wishes, { root, folder: folder.path })) });
    try {
      await machine.console.waitFor(/^flatracoon: ready /, { timeoutMs: 180_000 });
      await sleep(afterMs);
      await machine.pause();
      const file = join(folder.path, 'rings');
      // The kernel is mapped in every address space. JSON has no larger whole numbers than 2^53, the control protocol takes -2^31 as well.
      await machine.control('memsave', { val: Number(BigInt.asIntN(64, address)), size: ringsBytes, filename: file });
      return readRings(readFileSync(file));
    } finally {
      await machine.close();
    }
  } finally {
    folder.remove();
  }
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// `run-qemu`: a built image as a machine whose console is this terminal. The image is never changed: the guest writes to an overlay
// that goes when the machine does. Without a terminal it streams the console until the system is ready, which is exit code 0.
// The harness does the work (`qemu/`); which files make a machine is said in `qemu/artifacts.ts`.
import type { ReadStream } from 'node:tty';
import { Interrupted, UserError } from '../errors.ts';
import { badSigns } from '../qemu/bad-signs.ts';
import { MachineFailure } from '../qemu/failure.ts';
import type { Machine } from '../qemu/machine.ts';
import { prepareMachine } from '../qemu/prepare.ts';
import { startMachine } from '../qemu/start.ts';
import { joinTerminal, leaveHelp } from '../qemu/terminal.ts';
import { temporaryFolder } from '../qemu/workspace.ts';
import { run } from '../toolchain/exec.ts';
import { requireTools } from '../toolchain/requirements.ts';
import { parseDurationUs, parseSize } from '../units.ts';
import { type Command, type CommandContext, flag, text, type Values } from './command.ts';

export const command: Command = {
  usage: '[--slot A|B] [--smp N] [--mem SIZE] [--secure-boot] [--direct] [--gdb] [--icount] [--until-ready]',
  help: `Builds what is not up to date, then boots the image in the emulator, its console on this terminal. The image is not changed.
${leaveHelp}.

  --profile dev|prod  which build (dev)
  --image FILE        another image, .raw or .qcow2, instead of the profile's
  --no-build          boot what stands in out/ without building first
  --slot A|B          the slot that the loader takes first; an empty one is filled from the other
  --smp N             CPUs (2)
  --mem SIZE          memory (512MiB)
  --secure-boot       firmware that starts only what our keys signed
  --direct            kernel and bundle directly, without firmware and loader
  --gdb               wait for a debugger on 127.0.0.1; --gdb-port N for another port than 1234
  --icount            count instructions: one CPU, a clock that runs by them, repeatable
  --until-ready       end with 0 at the line \`flatracoon: ready\` (the default without a terminal), with 1 at a bad sign
  --stay              go on until interrupted, also without a terminal
  --timeout TIME      how long it may take to be ready (180s)`,
  options: {
    profile: { type: 'string' },
    image: { type: 'string' },
    'no-build': { type: 'boolean' },
    slot: { type: 'string' },
    smp: { type: 'string' },
    mem: { type: 'string' },
    'secure-boot': { type: 'boolean' },
    direct: { type: 'boolean' },
    gdb: { type: 'boolean' },
    'gdb-port': { type: 'string' },
    icount: { type: 'boolean' },
    'until-ready': { type: 'boolean' },
    stay: { type: 'boolean' },
    timeout: { type: 'string' },
  },
  async run(context) {
    const options = parseOptions(context.values);
    await requireTools('run');
    const build = options.build ? await buildFirst(options.profile, context) : 0;
    return build === 0 ? runQemu(options, context) : build;
  },
};

export interface RunQemuOptions {
  readonly profile: 'dev' | 'prod';
  readonly image: string | undefined;
  readonly build: boolean;
  readonly slot: 'A' | 'B' | undefined;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly secureBoot: boolean;
  readonly direct: boolean;
  readonly gdb: string | undefined;
  readonly icount: boolean;
  readonly untilReady: boolean;
  readonly stay: boolean;
  readonly timeoutMs: number;
}

/** Errors: `UserError` `run-qemu/...` for an option that cannot be. */
export function parseOptions(values: Values): RunQemuOptions {
  const icount = flag(values, 'icount');
  const slot = text(values, 'slot')?.toUpperCase();
  const options: RunQemuOptions = {
    profile: oneOf('profile', text(values, 'profile') ?? 'dev', ['dev', 'prod']),
    image: text(values, 'image'),
    // Another image is as it is, unless the profile's kernel and bundle are needed beside it.
    build: !flag(values, 'no-build') && (text(values, 'image') === undefined || flag(values, 'direct')),
    slot: slot === undefined ? undefined : oneOf<'A' | 'B'>('slot', slot, ['A', 'B']),
    cpus: wholeNumber('smp', text(values, 'smp') ?? (icount ? '1' : '2'), 1, 64),
    memoryMiB: memory(text(values, 'mem') ?? '512MiB'),
    secureBoot: flag(values, 'secure-boot'),
    direct: flag(values, 'direct'),
    gdb: flag(values, 'gdb')
      ? `tcp:127.0.0.1:${wholeNumber('gdb-port', text(values, 'gdb-port') ?? '1234', 1, 65_535)}`
      : undefined,
    icount,
    untilReady: flag(values, 'until-ready'),
    stay: flag(values, 'stay'),
    timeoutMs: duration(text(values, 'timeout') ?? '180s'),
  };
  refuseContradictions(options);
  return options;
}

function refuseContradictions({ icount, cpus, direct, secureBoot, slot, untilReady, stay }: RunQemuOptions): void {
  if (icount && cpus > 1) throw refused('icount', 'instructions are counted on one CPU alone', 'leave out --smp, or say --smp 1');
  if (direct && secureBoot) {
    throw refused('direct', 'a direct start has no firmware that could check a signature', 'leave out --direct or --secure-boot');
  }
  if (direct && slot === 'B')
    throw refused('direct', 'a direct start has no loader that could choose a slot', 'leave out --direct or --slot');
  if (untilReady && stay) throw refused('stay', '--until-ready ends and --stay does not', 'leave out one of them');
}

/** The build as a command of its own, with its own progress and messages; its exit code. */
async function buildFirst(profile: string, { root, signal }: CommandContext): Promise<number> {
  const { code } = await run(process.execPath, [...process.execArgv, process.argv[1] ?? '', `build-${profile}`], {
    cwd: root,
    signal,
    stdio: 'inherit',
    ok: 'any',
  });
  return code;
}

/** Runs until it is left, ready or ended. 0, or 1 when it was to become ready and did not. */
async function runQemu(options: RunQemuOptions, { root, signal, log }: CommandContext): Promise<number> {
  const folder = temporaryFolder();
  const interactive = process.stdin.isTTY === true && process.stdout.isTTY === true && !options.untilReady;
  const untilReady = options.untilReady || (!interactive && !options.stay);
  let machine: Machine | undefined;
  try {
    machine = await startMachine({
      ...(await prepareMachine(options, { root, folder: folder.path })),
      name: 'run-qemu',
      networks: [{ address: '52:54:00:12:34:56' }],
      reset: 'reboot',
      // A person wants to see what follows a bad sign; only the wait for `ready` ends by one.
      expected: untilReady ? [] : badSigns.map((sign) => sign.name),
      onOutput: (bytes) => void process.stdout.write(bytes),
    });
    if (options.gdb !== undefined) {
      log.info(
        `waiting for a debugger: gdb out/${options.profile}/kernel.elf -ex 'target remote ${options.gdb.slice('tcp:'.length)}'`,
      );
    }
    const over = Promise.race([machine.ended, aborted(signal)]);
    if (interactive) await byHand(machine, over, log);
    else if (untilReady) return await waitUntilReady(machine, options.timeoutMs, signal);
    else await over;
    return 0;
  } catch (error) {
    if (!(error instanceof MachineFailure)) throw error;
    process.stderr.write(`\n${error.message}\n`);
    return 1;
  } finally {
    await machine?.close().catch(() => undefined);
    folder.remove();
  }
}

async function byHand(machine: Machine, over: Promise<unknown>, log: CommandContext['log']): Promise<void> {
  log.info(leaveHelp);
  let leave = (): void => undefined;
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const giveBack = joinTerminal(process.stdin as ReadStream, (keys) => machine.console.send(keys), leave);
  try {
    await Promise.race([left, over]);
  } finally {
    giveBack();
    process.stdout.write('\n');
  }
}

async function waitUntilReady(machine: Machine, timeoutMs: number, signal: AbortSignal): Promise<number> {
  const ready = machine.console.waitFor(/^flatracoon: ready /, { timeoutMs });
  ready.catch(() => undefined);
  await Promise.race([ready, aborted(signal)]);
  if (signal.aborted) throw new Interrupted('interrupted');
  return 0;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function oneOf<Word extends string>(name: string, value: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === value);
  if (found === undefined)
    throw refused(
      name,
      `--${name} ${value} is not one of ${words.join(', ')}`,
      `use ${words.map((word) => `--${name} ${word}`).join(' or ')}`,
    );
  return found;
}

function wholeNumber(name: string, value: string, least: number, most: number): number {
  const number = Number(value);
  if (/^[0-9]+$/.test(value) && number >= least && number <= most) return number;
  throw refused(name, `--${name} ${value} is not a whole number from ${least} to ${most}`, `for example --${name} ${least}`);
}

/** MiB. The least is what the system is tested with. */
function memory(value: string): number {
  const bytes = parseSize(value);
  if (bytes !== undefined && bytes >= 128 * 2 ** 20 && bytes % 2 ** 20 === 0) return bytes / 2 ** 20;
  throw refused('mem', `--mem ${value} is not a size of 128MiB or more in whole MiB`, 'for example --mem 512MiB or --mem 4GiB');
}

function duration(value: string): number {
  const us = parseDurationUs(value);
  if (us !== undefined && us > 0) return us / 1_000;
  throw refused('timeout', `--timeout ${value} is not a duration`, 'for example --timeout 60s');
}

function refused(what: string, message: string, hint: string): UserError {
  return new UserError(message, { code: `run-qemu/${what}`, hint });
}

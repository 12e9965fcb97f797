// SPDX-License-Identifier: PMPL-1.0-or-later
// Starts the emulator, joins its pipes to a console and its control socket to a machine. `run-qemu` and every test come through here.
// A bad sign kills the machine at once; so does our own end. Read next: `machine.ts`.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type RunningProgram, startProgram } from '../toolchain/qemu.ts';
import { chooseAccelerator } from './accelerator.ts';
import {
  type DirectBoot,
  type DiskSpec,
  emulator,
  type FirmwareBoot,
  type MachineSpec,
  type NetworkSpec,
  qemuArguments,
} from './arguments.ts';
import type { BadSignName } from './bad-signs.ts';
import { Console, stamp } from './console.ts';
import { Machine } from './machine.ts';
import { Qmp, type QmpEvent } from './qmp.ts';
import { shellCommand } from './shell.ts';
import { onProcessEnd, temporaryFolder } from './workspace.ts';

export interface MachineOptions {
  /** For messages and the transcript's file name. */
  readonly name: string;
  readonly boot: FirmwareBoot | DirectBoot;
  readonly disks?: readonly DiskSpec[];
  readonly networks?: readonly NetworkSpec[];
  readonly cpus?: number;
  readonly memoryMiB?: number;
  readonly icount?: boolean;
  readonly gdb?: string;
  readonly tpm?: string;
  readonly reset?: MachineSpec['reset'];
  readonly exitDevice?: boolean;
  readonly plugins?: readonly string[];
  /** Instead of the probed one. */
  readonly accelerator?: MachineSpec['accelerator'];
  /** Bad signs that this run is about: they are ordinary lines then. */
  readonly expected?: readonly BadSignName[];
  /** Where the transcript goes; none without it. */
  readonly logFolder?: string;
  /** Raw bytes of the console as they come, for a terminal. */
  readonly onOutput?: (bytes: Uint8Array) => void;
}

/** The emulator answers its control socket within this, also on a busy host. */
const controlMs = 20_000;

/** Starts a machine. Errors: `UserError` when the emulator is missing, `MachineFailure` when it does not start, with what it said. */
export async function startMachine(options: MachineOptions): Promise<Machine> {
  const folder = temporaryFolder();
  try {
    return await launch(options, folder.path, folder.remove);
  } catch (error) {
    folder.remove();
    throw error;
  }
}

async function launch(options: MachineOptions, folder: string, removeFolder: () => void): Promise<Machine> {
  const spec = await specOf(options, join(folder, 'qmp'));
  const { qmp: _, ...byHand } = spec;
  const command = shellCommand([emulator, ...qemuArguments(byHand)]);
  const transcript = openTranscript(options);
  const program = await startProgram(emulator, qemuArguments(spec));
  const forget = onProcessEnd(program.kill);
  const release = () => {
    forget();
    removeFolder();
    transcript.close();
  };
  const console = new Console({
    machine: options.name,
    expected: new Set(options.expected ?? []),
    send: (text) => void program.child.stdin?.write(text),
    onLine: (line) => transcript.line(`${stamp(line.atMs)} ${line.text}`),
    onBadSign: program.kill,
    describe: () => ({ command, ...(transcript.path === undefined ? {} : { logPath: transcript.path }) }),
  });
  attach(program, console, options);
  try {
    const early: QmpEvent[] = [];
    let deliver = (event: QmpEvent): void => void early.push(event);
    const onEvent = (event: QmpEvent) => {
      noteReset(event, console, spec.reset);
      deliver(event);
    };
    const connected = Qmp.connect(spec.qmp!, { timeoutMs: controlMs, onEvent }).catch((error: unknown) =>
      whyNoControl(program, console, error),
    );
    const qmp = await Promise.race([connected, failWhenEnded(program, console)]);
    const machine = new Machine({ name: options.name, console, command, logPath: transcript.path, program, qmp, release });
    deliver = (event) => machine.deliver(event);
    for (const event of early) machine.deliver(event);
    return machine;
  } catch (error) {
    program.kill();
    await program.ended;
    release();
    throw error;
  }
}

async function specOf(options: MachineOptions, qmp: string): Promise<MachineSpec> {
  const icount = options.icount === true;
  return {
    boot: options.boot,
    disks: options.disks ?? [],
    cpus: options.cpus ?? 1,
    memoryMiB: options.memoryMiB ?? 512,
    accelerator: options.accelerator ?? (icount ? 'tcg' : (await chooseAccelerator()).accelerator),
    icount,
    reset: options.reset ?? 'end',
    qmp,
    ...(options.networks === undefined ? {} : { networks: options.networks }),
    ...(options.gdb === undefined ? {} : { gdb: options.gdb }),
    ...(options.tpm === undefined ? {} : { tpm: options.tpm }),
    ...(options.plugins === undefined ? {} : { plugins: options.plugins }),
    ...(options.exitDevice === undefined ? {} : { exitDevice: options.exitDevice }),
  };
}

function attach(program: RunningProgram, console: Console, options: MachineOptions): void {
  program.child.stdout?.on('data', (bytes: Buffer) => {
    options.onOutput?.(bytes);
    console.feed(bytes);
  });
  let complaint = '';
  program.child.stderr?.on('data', (bytes: Buffer) => {
    const lines = (complaint + bytes.toString()).split('\n');
    complaint = lines.pop() ?? '';
    for (const line of lines) console.note(`emulator: ${line}`);
  });
  // The console ends after its last byte, which may come after the process is gone.
  const drained = new Promise<void>((resolve) => void program.child.once('close', () => resolve()));
  void Promise.all([drained, program.ended]).then(([, end]) => {
    if (complaint !== '') console.note(`emulator: ${complaint}`);
    console.end(`the machine ended (${end.signal ?? `status ${end.code}`})`);
  });
}

/** A reset that the guest caused: a bad sign where it ends the machine, an ordinary line where it may reboot. */
function noteReset({ event, data }: QmpEvent, console: Console, reset: MachineSpec['reset']): void {
  const byGuest = data.guest === true && data.reason === 'guest-reset';
  if (event === 'SHUTDOWN' && byGuest && reset === 'end') console.note('the guest reset itself (triple fault or reboot)');
  if (event === 'RESET' && byGuest && reset === 'reboot') console.note('guest reset');
}

/** An emulator that is going closes its socket a moment before it is gone: then its own last words are the story. */
async function whyNoControl(program: RunningProgram, console: Console, error: unknown): Promise<never> {
  await Promise.race([program.ended, new Promise((resolve) => setTimeout(resolve, 1_000))]);
  if (program.child.exitCode !== null || program.child.signalCode !== null) return failWhenEnded(program, console);
  throw error;
}

async function failWhenEnded(program: RunningProgram, console: Console): Promise<never> {
  await program.ended;
  // Its last words come through the pipes a moment later.
  await new Promise((resolve) => setTimeout(resolve, 50));
  throw console.failure('the emulator ended before it could be controlled');
}

interface Transcript {
  readonly path: string | undefined;
  line(text: string): void;
  close(): void;
}

function openTranscript(options: MachineOptions): Transcript {
  if (options.logFolder === undefined) return { path: undefined, line: () => undefined, close: () => undefined };
  mkdirSync(options.logFolder, { recursive: true });
  const slug = options.name.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 80);
  const path = join(options.logFolder, `${slug}.log`);
  let file: number | undefined = openSync(path, 'w');
  return {
    path,
    line(text) {
      if (file !== undefined) writeSync(file, `${text}\n`);
    },
    close() {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}

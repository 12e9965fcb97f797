// SPDX-License-Identifier: PMPL-1.0-or-later
// The emulator's programs: qemu-img and qemu-io run to their end, qemu-system (and a software TPM) as children that we talk to.
// They die with us even when we are killed: `setpriv --pdeathsig` asks the kernel for that. Read next: `qemu/machine.ts`.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import { run } from './exec.ts';
import { packageOf } from './packages.ts';

export type DiskFormat = 'raw' | 'qcow2';

export interface ProgramEnd {
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

/** A child that runs until somebody ends it. */
export interface RunningProgram {
  readonly child: ChildProcess;
  readonly ended: Promise<ProgramEnd>;
  /** Kills it at once, as a power cut would. Harmless when it has ended. */
  kill(): void;
}

/** Starts `program` with pipes. Errors: `UserError` `machine/program-missing`. */
export function startProgram(program: string, args: readonly string[]): Promise<RunningProgram> {
  const guard = guardPath();
  const [file, all] = guard === undefined ? [program, args] : [guard, ['--pdeathsig', 'KILL', '--', program, ...args]];
  return new Promise((resolve, reject) => {
    if (!onPath(program)) return reject(missing(program));
    const child = spawn(file, all, { stdio: 'pipe' });
    const ended = new Promise<ProgramEnd>((end) => {
      child.once('exit', (code, signal) => end({ code: code ?? undefined, signal: signal ?? undefined }));
    });
    // A guest that is gone no longer reads; that is seen at its end, not here.
    child.stdin?.on('error', () => undefined);
    child.once('error', reject);
    child.once('spawn', () => resolve({ child, ended, kill: () => void child.kill('SIGKILL') }));
  });
}

/** A new qcow2 file whose unwritten parts are those of `base`. `base` must not change as long as it is used. */
export async function createOverlay(options: {
  readonly base: string;
  readonly baseFormat: DiskFormat;
  readonly overlay: string;
}): Promise<void> {
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', options.baseFormat, '-b', options.base, options.overlay]);
}

/** The guest's view of the disk as a raw file, holes kept. */
export async function convertToRaw(options: {
  readonly disk: string;
  readonly format: DiskFormat;
  readonly out: string;
}): Promise<void> {
  await run('qemu-img', ['convert', '-f', options.format, '-O', 'raw', options.disk, options.out]);
}

/** Bytes that the guest sees on the disk. */
export async function diskSize(disk: string, format: DiskFormat): Promise<number> {
  const { stdout } = await run('qemu-img', ['info', '--output=json', '-f', format, disk]);
  return (JSON.parse(stdout) as { 'virtual-size': number })['virtual-size'];
}

/** `lengthBytes` from `offsetBytes`, both multiples of 512. */
export async function readDisk(disk: string, format: DiskFormat, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  const out = `${disk}.read-${unique()}`;
  try {
    // Block by block is how it copies: a whole partition in sectors takes ten seconds.
    let block = 1 << 20;
    while (offsetBytes % block !== 0 || lengthBytes % block !== 0) block /= 2;
    const place = [`bs=${block}`, `skip=${offsetBytes / block}`, `count=${(offsetBytes + lengthBytes) / block}`];
    await run('qemu-img', ['dd', '-f', format, '-O', 'raw', ...place, `if=${disk}`, `of=${out}`]);
    return (await readFile(out)).subarray(0, lengthBytes);
  } finally {
    await rm(out, { force: true });
  }
}

let count = 0;

function unique(): string {
  count += 1;
  return `${process.pid}-${count}`;
}

/** Writes pieces in order; offsets and lengths are multiples of 512. */
export async function writeDiskParts(
  disk: string,
  format: DiskFormat,
  parts: readonly { readonly offsetBytes: number; readonly bytes: Uint8Array }[],
): Promise<void> {
  const files: string[] = [];
  try {
    const commands: string[] = [];
    for (const { offsetBytes, bytes } of parts) {
      const patch = `${disk}.patch-${unique()}`;
      files.push(patch);
      await writeFile(patch, bytes);
      commands.push('-c', `write -q -s ${patch} ${offsetBytes} ${bytes.byteLength}`);
    }
    if (commands.length > 0) await run('qemu-io', ['-f', format, ...commands, disk]);
  } finally {
    for (const file of files) await rm(file, { force: true });
  }
}

/** Makes a range zero without storing zeros. */
export async function zeroDisk(disk: string, format: DiskFormat, offsetBytes: number, lengthBytes: number): Promise<void> {
  await run('qemu-io', ['-f', format, '-c', `write -q -z ${offsetBytes} ${lengthBytes}`, disk]);
}

function guardPath(): string | undefined {
  return ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));
}

function onPath(program: string): boolean {
  if (program.includes('/')) return existsSync(program);
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(`${folder}/${program}`));
}

function missing(program: string): UserError {
  const debian = packageOf[program] ?? program;
  return new UserError(`the program \`${program}\` is not installed`, {
    code: 'machine/program-missing',
    hint: `run \`just setup\`, or install the package ${debian} (Debian, Ubuntu: apt-get install ${debian})`,
  });
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// Which accelerator works here: found out by running guests, since a /dev/kvm that opens may still die on the first instruction.
// KVM must run a tiny kernel and then the firmware, on the same CPU model as every machine; otherwise it is TCG.
// The answer is kept until the host boots again. `FLATRACOON_ACCELERATOR=tcg|kvm` overrides it.
import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { type RunningProgram, startProgram } from '../toolchain/qemu.ts';
import { emulator, type FirmwareBoot, type MachineSpec, qemuArguments } from './arguments.ts';
import { createFirmware } from './firmware.ts';
import { code, pvhElf } from './pvh-elf.ts';
import { onProcessEnd, temporaryFolder } from './workspace.ts';

export type Accelerator = MachineSpec['accelerator'];

export interface AcceleratorChoice {
  readonly accelerator: Accelerator;
  /** One sentence for `doctor` and logs. */
  readonly because: string;
}

/** Virtualised firmware speaks within a second; this leaves room for a busy host. */
const probeMs = 8_000;

/** Errors: `UserError` `machine/accelerator` for an override that is not one. */
export async function chooseAccelerator(): Promise<AcceleratorChoice> {
  const wanted = process.env.FLATRACOON_ACCELERATOR;
  if (wanted === 'tcg' || wanted === 'kvm') return { accelerator: wanted, because: 'FLATRACOON_ACCELERATOR says so' };
  if (wanted !== undefined && wanted !== '') {
    throw new UserError(`FLATRACOON_ACCELERATOR is ${JSON.stringify(wanted)}`, {
      code: 'machine/accelerator',
      hint: 'use tcg or kvm, or unset it',
    });
  }
  const known = recall();
  if (known !== undefined) return known;
  const choice = await probe();
  remember(choice);
  return choice;
}

async function probe(): Promise<AcceleratorChoice> {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return { accelerator: 'tcg', because: '/dev/kvm is not there or not ours to open' };
  }
  const folder = temporaryFolder();
  try {
    if (!(await runsTinyKernel(folder.path))) return { accelerator: 'tcg', because: 'KVM opens but does not run a small kernel' };
    if (!(await runsFirmware(folder.path)))
      return { accelerator: 'tcg', because: 'KVM runs a small kernel but not the firmware' };
    return { accelerator: 'kvm', because: 'KVM ran a small kernel and the firmware' };
  } finally {
    folder.remove();
  }
}

async function runsTinyKernel(folder: string): Promise<boolean> {
  const kernel = join(folder, 'probe.elf');
  const answer = 'probe-answer';
  await writeFile(kernel, pvhElf(Uint8Array.from([...code.exercise(), ...code.print(`${answer}\n`), ...code.exit(0x10)])));
  return says(answer, { boot: { kind: 'direct', kernel }, exitDevice: true });
}

async function runsFirmware(folder: string): Promise<boolean> {
  const boot: FirmwareBoot = await createFirmware({ copyTo: join(folder, 'variables.fd') });
  return says('BdsDxe', { boot });
}

async function says(word: string, some: Pick<MachineSpec, 'boot' | 'exitDevice'>): Promise<boolean> {
  const spec: MachineSpec = { ...some, disks: [], cpus: 1, memoryMiB: 256, accelerator: 'kvm', icount: false, reset: 'end' };
  const guest = await startProgram(emulator, qemuArguments(spec));
  const forget = onProcessEnd(guest.kill);
  try {
    return await outputHas(guest, word);
  } finally {
    guest.kill();
    await guest.ended;
    forget();
  }
}

function outputHas(guest: RunningProgram, word: string): Promise<boolean> {
  return new Promise((resolve) => {
    let text = '';
    const timer = setTimeout(() => resolve(false), probeMs);
    const settle = (answer: boolean) => {
      clearTimeout(timer);
      resolve(answer);
    };
    guest.child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.includes(word)) settle(true);
    });
    guest.child.stdout?.once('close', () => settle(text.includes(word)));
  });
}

interface Remembered extends AcceleratorChoice {
  readonly hostBoot: string;
}

function cacheFile(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'flatracoon-os', 'accelerator.json');
}

function hostBoot(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}

function recall(): AcceleratorChoice | undefined {
  try {
    const known = JSON.parse(readFileSync(cacheFile(), 'utf8')) as Remembered;
    return known.hostBoot === hostBoot() && (known.accelerator === 'kvm' || known.accelerator === 'tcg') ? known : undefined;
  } catch {
    return undefined;
  }
}

function remember(choice: AcceleratorChoice): void {
  const boot = hostBoot();
  if (boot === undefined) return;
  try {
    mkdirSync(dirname(cacheFile()), { recursive: true });
    writeFileSync(cacheFile(), JSON.stringify({ ...choice, hostBoot: boot } satisfies Remembered));
  } catch {
    // A home that cannot be written costs one more probe next time, no more.
  }
}

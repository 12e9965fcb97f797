// SPDX-License-Identifier: PMPL-1.0-or-later
// The harness tested on guests of a few bytes: before a test may say that the system is broken, its tools must be known to work.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createFirmware,
  Disk,
  type Machine,
  MachineFailure,
  type MachineOptions,
  startMachine,
  temporaryFolder,
} from '../../build/src/testing.ts';
import { does, standInKernel } from './stand-in.ts';

let folder: ReturnType<typeof temporaryFolder>;
let machine: Machine | undefined;
beforeEach(() => {
  folder = temporaryFolder();
  machine = undefined;
});
afterEach(async () => {
  await machine?.close().catch(() => undefined);
  folder.remove();
});

async function start(steps: readonly (readonly number[])[], more: Partial<MachineOptions> = {}): Promise<Machine> {
  const kernel = await standInKernel(folder.path, ...steps);
  machine = await startMachine({
    name: 'stand in',
    boot: { kind: 'direct', kernel },
    memoryMiB: 64,
    logFolder: folder.path,
    ...more,
  });
  return machine;
}
const soon = { timeoutMs: 20_000 };
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable('it did not fail'),
    (error: unknown) => {
      expect(error).toBeInstanceOf(MachineFailure);
      return error as MachineFailure;
    },
  );

describe('a guest', () => {
  it('is heard, and its transcript has a time on each line', async () => {
    const { console, logPath } = await start([does.print('hello\r\nagain\r\n')]);
    await console.waitFor(/^again$/, soon);
    expect(readFileSync(logPath!, 'utf8')).toMatch(/^\[ *[0-9]+\.[0-9]{3}\] hello\n\[ *[0-9]+\.[0-9]{3}\] again\n$/);
  });

  it('is typed to', async () => {
    const { console } = await start([does.print('now\n'), does.echo(), does.print('!\n')]);
    await console.waitFor(/^now$/, soon);
    console.send('x');
    await console.waitFor(/^x!$/, soon);
  });

  it('ends with the status that it chose', async () => {
    const { ended } = await start([does.exit(0x10)], { exitDevice: true });
    expect(await ended).toEqual({ code: 33, signal: undefined });
  });

  it.each([1, 2])('runs on %i CPUs', async (cpus) => {
    const { console } = await start([does.print('up\n')], { cpus });
    await console.waitFor(/^up$/, soon);
    expect(((await machine!.control('query-cpus-fast')) as unknown[]).length).toBe(cpus);
  });

  it('runs the same under instruction counting', async () => {
    const { console } = await start([does.print('counted\n')], { icount: true });
    await console.waitFor(/^counted$/, soon);
  });
});

describe('a guest that fails', () => {
  it('by silence is reported with the awaited pattern, its lines, the log and a command', async () => {
    const { console } = await start([does.print('only this\n')]);
    await console.waitFor(/only/, soon);
    const { message } = await failureOf(console.waitFor(/ready/, { timeoutMs: 200 }));
    expect(message).toMatch(/^stand in: waited for \/ready\/ for \d+ ms; it did not come$/m);
    expect(message).toMatch(/\| \[.*\] only this$/m);
    expect(message).toContain(`log: ${folder.path}/stand-in.log`);
    expect(message).toMatch(/qemu-system-x86_64 \\\n.*-nodefaults/);
    expect(message).not.toContain('-qmp');
  });

  it('by a bad sign is ended at once, long before the awaited line could time out', async () => {
    const { console, ended } = await start([does.print('KERNEL-PANIC {"cause":"x"}\n')]);
    const { message } = await failureOf(console.waitFor(/ready/, { timeoutMs: 500_000 }));
    expect(message).toContain('bad sign kernel-panic');
    expect((await ended).signal).toBe('SIGKILL');
    await machine!.close();
  });

  it('by a triple fault is told from one that ended', async () => {
    const { console } = await start([does.print('before\n'), does.tripleFault()]);
    const { message } = await failureOf(console.waitFor(/after/, soon));
    expect(message).toContain('bad sign guest-reset');
  });

  it('by asking for a reset is noticed', async () => {
    const { console } = await start([does.print('before\n'), does.reset()]);
    expect((await failureOf(console.waitFor(/after/, soon))).message).toContain('bad sign guest-reset');
  });

  it('by ending is reported with its status', async () => {
    const { console } = await start([does.print('bye\n'), does.exit(0x10)], { exitDevice: true });
    expect((await failureOf(console.waitFor(/after/, soon))).message).toContain('the machine ended (status 33)');
  });

  it('to start is reported with what the emulator said', async () => {
    const { message } = await failureOf(startMachine({ name: 'none', boot: { kind: 'direct', kernel: '/nonexistent.elf' } }));
    expect(message).toMatch(/emulator: .*nonexistent\.elf/);
  });
});

describe('a person at the machine', () => {
  it('may let a guest reboot', async () => {
    const { console } = await start([does.print('again\n'), does.echo(), does.reset()], { reset: 'reboot' });
    await console.waitFor(/^again$/, soon);
    console.send('x');
    await console.waitFor(/guest reset/, soon);
    await console.waitFor(/again$/, soon);
  });

  it('pauses, goes on, resets and looks at the screen', async () => {
    const { console } = await start([does.print('here\n')], { reset: 'reboot' });
    await console.waitFor(/here/, soon);
    await machine!.pause();
    expect(await machine!.status()).toBe('paused');
    await machine!.resume();
    expect(await machine!.status()).toBe('running');
    const picture = join(folder.path, 'screen.ppm');
    await machine!.screenshot(picture);
    expect(readFileSync(picture).subarray(0, 2).toString()).toBe('P6');
    await machine!.reset();
    await console.waitFor(/here/, soon);
  });

  it('cuts the power', async () => {
    await start([does.print('here\n')]);
    await machine!.powerCut();
    expect((await machine!.ended).signal).toBe('SIGKILL');
  });

  it('leaves nothing behind', async () => {
    const mine = () => readdirSync(tmpdir()).filter((name) => name.startsWith(`flatracoon-qemu-${process.pid}-`));
    const before = mine();
    const { console } = await start([does.print('here\n')]);
    await console.waitFor(/here/, soon);
    expect(mine().length).toBe(before.length + 1);
    await machine!.close();
    expect(mine()).toEqual(before);
  });
});

describe('a disk', () => {
  it('is written to without touching its image, by ranges of any size', async () => {
    const path = join(folder.path, 'image.raw');
    const { writeFile } = await import('node:fs/promises');
    await writeFile(path, Buffer.alloc(1 << 20, 0x11));
    const disk = await Disk.over({ path, format: 'raw' }, folder.path, 'overlay');
    await disk.write(1_000, Buffer.from('raccoon'));
    await disk.flipBit(5_000, 3);
    expect((await disk.read(998, 11)).toString('latin1')).toBe('\x11\x11raccoon\x11\x11');
    expect([...(await disk.read(4_999, 3))]).toEqual([0x11, 0x19, 0x11]);
    expect(readFileSync(path).every((byte) => byte === 0x11)).toBe(true);
    const raw = await disk.toRaw(join(folder.path, 'flat.raw'));
    expect((await raw.read(1_000, 7)).toString()).toBe('raccoon');
    expect(readdirSync(folder.path).sort()).toEqual(['flat.raw', 'image.raw', 'overlay.qcow2']);
  });
});

describe('firmware', () => {
  it('without anything to start is noticed', async () => {
    const boot = await createFirmware({ copyTo: join(folder.path, 'variables.fd') });
    machine = await startMachine({ name: 'no disk', boot, logFolder: folder.path, memoryMiB: 256 });
    const { message } = await failureOf(machine.console.waitFor(/loader: boot/, { timeoutMs: 120_000 }));
    expect(message).toContain('bad sign firmware-shell');
    expect(existsSync(machine.logPath!)).toBe(true);
  });
});

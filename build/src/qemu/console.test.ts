// SPDX-License-Identifier: PMPL-1.0-or-later
import { describe, expect, it } from 'vitest';
import type { BadSignName } from './bad-signs.ts';
import { badSigns, findBadSign } from './bad-signs.ts';
import { Console, plain } from './console.ts';
import { MachineFailure } from './failure.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const make = (options: { expected?: BadSignName[]; killed?: () => void; sent?: string[] } = {}) =>
  new Console({
    machine: 'stand-in',
    now: () => 1_500,
    expected: new Set(options.expected ?? []),
    onBadSign: options.killed ?? (() => undefined),
    send: (text) => options.sent?.push(String(text)),
    describe: () => ({ logPath: '/logs/stand-in.log', command: 'qemu -S' }),
  });
const soon = { timeoutMs: 30 };

describe('a console', () => {
  it('gives the groups of an awaited line, whatever chunks it comes in', async () => {
    const console = make();
    const ready = console.waitFor(/ready version=(\S+) slot=(\w)/, soon);
    for (const part of ['flatracoon: rea', 'dy version=0.1.0 sl', 'ot=A boot_ms=12\r', '\nmore']) console.feed(bytes(part));
    expect((await ready).slice(1)).toEqual(['0.1.0', 'A']);
  });

  it('keeps two waits in order: what was before the first match is not found by the second', async () => {
    const console = make();
    console.feed(bytes('two\none\n'));
    await console.waitFor(/one/, soon);
    await expect(console.waitFor(/two/, soon)).rejects.toThrow('it did not come');
  });

  it('does not take the start of a line for the line', async () => {
    const console = make();
    console.feed(bytes('boot_ms=1'));
    await expect(console.waitFor(/boot_ms=(\d+)/, soon)).rejects.toThrow(MachineFailure);
  });

  it('finds a prompt on a line that has not ended, once', async () => {
    const console = make();
    console.feed(bytes('Shell> '));
    await console.waitFor(/Shell> $/, { ...soon, also: 'prompt' });
    await expect(console.waitFor(/Shell> $/, { ...soon, also: 'prompt' })).rejects.toThrow('it did not come');
  });

  it('reads through the control sequences of firmware, also one cut in two', () => {
    const console = make();
    console.feed(bytes('\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe: \x1b[1'));
    console.feed(bytes('mloading\x1b[0m\r\n'));
    expect(console.lines.map((line) => line.text)).toEqual(['BdsDxe: loading']);
    expect(plain('a\x1b[05;01Hb')).toBe('a\nb');
  });

  it('decodes a character cut in two', () => {
    const console = make();
    const all = bytes('é\n');
    console.feed(all.subarray(0, 1));
    console.feed(all.subarray(1));
    expect(console.lines[0]?.text).toBe('é');
  });

  it('types to the guest', () => {
    const sent: string[] = [];
    make({ sent }).send('x\r');
    expect(sent).toEqual(['x\r']);
  });

  it('refuses a pattern that remembers', () => {
    expect(() => make().waitFor(/a/g, soon)).toThrow(TypeError);
  });
});

describe('silence', () => {
  it('is a failure that tells what was awaited, the last lines, the log and the command', async () => {
    const console = make();
    console.feed(bytes('loader: boot slot=A version=1\n'));
    const failure = await console.waitFor(/storage: mounted/, soon).catch((error: unknown) => error);
    expect((failure as Error).message).toMatchInlineSnapshot(`
      "stand-in: waited for /storage: mounted/ for 0 ms; it did not come
        last 1 of 1 console lines:
          | [   0.000] loader: boot slot=A version=1
        log: /logs/stand-in.log
        to repeat it by hand:
          qemu -S"
    `);
  });

  it('shows forty lines at most', async () => {
    const console = make();
    for (let line = 0; line < 100; line += 1) console.feed(bytes(`line ${line}\n`));
    const failure = (await console.waitFor(/never/, soon).catch((error: unknown) => error)) as Error;
    expect(failure.message).toContain('last 40 of 100 console lines');
    expect(failure.message).not.toContain('line 59\n');
    expect(failure.message).toContain('line 60\n');
  });

  it('of a machine that ended says so to waits before and after', async () => {
    const console = make();
    const before = console.waitFor(/ready/, soon);
    console.end('the machine ended (status 0)');
    await expect(before).rejects.toThrow('the machine ended (status 0)');
    await expect(console.waitFor(/ready/, soon)).rejects.toThrow('the machine ended (status 0)');
  });
});

describe('a bad sign', () => {
  it('fails every wait at once and ends the machine', async () => {
    let killed = 0;
    const console = make({ killed: () => (killed += 1) });
    const waits = [console.waitFor(/a/, { timeoutMs: 60_000 }), console.waitFor(/b/, { timeoutMs: 60_000 })];
    console.feed(bytes('KERNEL-PANIC {"cause":"test"}\na\nb\n'));
    for (const wait of waits) await expect(wait).rejects.toThrow('bad sign kernel-panic: the kernel stopped itself');
    expect(killed).toBe(1);
    console.check();
  });

  it('that no wait has told of is told at the end', () => {
    const console = make();
    console.feed(bytes('KERNEL-PANIC {}\n'));
    expect(() => console.check()).toThrow('kernel-panic');
  });

  it('does not count as the awaited line', async () => {
    const console = make();
    const wait = console.waitFor(/KERNEL-PANIC/, soon);
    console.feed(bytes('KERNEL-PANIC {}\n'));
    await expect(wait).rejects.toThrow(MachineFailure);
  });

  it('is an ordinary line for a test that is about it', async () => {
    const console = make({ expected: ['kernel-panic'] });
    console.feed(bytes('KERNEL-PANIC {"cause":"test"}\n'));
    expect((await console.waitFor(/KERNEL-PANIC (\{.*\})/, soon))[1]).toBe('{"cause":"test"}');
    console.check();
  });

  it.each([
    ['KERNEL-PANIC {"x":1}', 'kernel-panic'],
    ['SERVER-FAULT {"name":"uart"}', 'server-fault'],
    ['storage: capability fault: handle 7', 'capability-fault'],
    ['storage: verity mismatch at block 8121', 'verity-mismatch'],
    ['loader: refused slot=A check=signature detail="x"', 'slot-refused'],
    ['loader: stopped: no bootable slot', 'no-bootable-slot'],
    ["thread 'main' panicked at src/main.rs:1:1:", 'server-panic'],
    ['not ok 3 - maps', 'test-not-ok'],
    ['!!!! X64 Exception Type - 0E(#PF - Page-Fault)  CPU Apic ID - 00000000 !!!!', 'firmware-exception'],
    ['BdsDxe: failed to load Boot0001 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x3,0x0): Access Denied', 'firmware-shell'],
    ['harness: the guest reset itself (triple fault or reboot)', 'guest-reset'],
  ])('is seen in %j', (line, name) => {
    expect(findBadSign(line, new Set())?.name).toBe(name);
  });

  it.each([
    'loader: boot slot=A version=0.1.0',
    'flatracoon: ready version=0.1.0 slot=A boot_ms=312',
    'ok 3 - maps',
    'storage: verity root mounted',
    'KERNEL-PANIC is the word for it',
  ])('is not seen in %j', (line) => {
    expect(findBadSign(line, new Set())).toBeUndefined();
  });

  it('has a pattern without state in each row', () => {
    expect(badSigns.filter((sign) => sign.pattern.global || sign.pattern.sticky)).toEqual([]);
  });
});

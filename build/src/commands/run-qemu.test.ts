// SPDX-License-Identifier: PMPL-1.0-or-later
import { describe, expect, it } from 'vitest';
import { parseOptions } from './run-qemu.ts';

describe('run-qemu', () => {
  it('has defaults for everything', () => {
    expect(parseOptions({})).toMatchObject({
      profile: 'dev',
      cpus: 2,
      memoryMiB: 512,
      slot: undefined,
      direct: false,
      timeoutMs: 180_000,
    });
  });

  it('takes one CPU under icount unless told otherwise', () => {
    expect(parseOptions({ icount: true }).cpus).toBe(1);
  });

  it('takes sizes and times with units, and slots in either case', () => {
    expect(parseOptions({ mem: '4GiB', timeout: '2min', slot: 'b' })).toMatchObject({
      memoryMiB: 4096,
      timeoutMs: 120_000,
      slot: 'B',
    });
  });

  it('lets a debugger in on the local machine alone', () => {
    expect(parseOptions({ gdb: true, 'gdb-port': '2345' }).gdb).toBe('tcp:127.0.0.1:2345');
  });
});

describe('run-qemu refuses', () => {
  it.each([
    ['an unknown slot', { slot: 'C' }, 'run-qemu/slot'],
    ['an unknown profile', { profile: 'debug' }, 'run-qemu/profile'],
    ['no CPU', { smp: '0' }, 'run-qemu/smp'],
    ['a CPU count that is not a number', { smp: '2.0' }, 'run-qemu/smp'],
    ['memory without a unit', { mem: '512' }, 'run-qemu/mem'],
    ['too little memory', { mem: '64MiB' }, 'run-qemu/mem'],
    ['memory of broken pages', { mem: '134217729B' }, 'run-qemu/mem'],
    ['a time without a unit', { timeout: '60' }, 'run-qemu/timeout'],
    ['a port that is none', { gdb: true, 'gdb-port': '70000' }, 'run-qemu/gdb-port'],
    ['counting on two CPUs', { icount: true, smp: '2' }, 'run-qemu/icount'],
    ['Secure Boot without firmware', { direct: true, 'secure-boot': true }, 'run-qemu/direct'],
    ['a slot without a loader', { direct: true, slot: 'B' }, 'run-qemu/direct'],
    ['ending and staying', { 'until-ready': true, stay: true }, 'run-qemu/stay'],
  ])('%s', (_, values, code) => {
    expect(() => parseOptions(values)).toThrow(expect.objectContaining({ code }));
  });
});

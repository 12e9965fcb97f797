// SPDX-License-Identifier: PMPL-1.0-or-later
import { describe, expect, it } from 'vitest';
import { type DiskSpec, type MachineSpec, qemuArguments } from './arguments.ts';

const direct: MachineSpec = {
  boot: { kind: 'direct', kernel: '/o/kernel.elf', initrd: '/o/bundle.frb', commandLine: 'slot=a' },
  disks: [],
  cpus: 1,
  memoryMiB: 256,
  accelerator: 'tcg',
  icount: false,
  reset: 'end',
};
const firmware: MachineSpec = {
  ...direct,
  boot: { kind: 'firmware', code: '/f/CODE.fd', variables: '/t/VARS.fd', secureBoot: false },
  disks: [{ path: '/t/disk.qcow2', format: 'qcow2' }],
  cpus: 2,
};

const text = (spec: MachineSpec) => qemuArguments(spec).join(' ').replace(/ -/g, '\n-');
const withDisk = (disk: Partial<DiskSpec>) => text({ ...firmware, disks: [{ path: '/t/d', format: 'qcow2', ...disk }] });

describe('the argument list', () => {
  it('joins a network device to a socket, or to the emulator as its router', () => {
    const address = '52:54:00:12:34:56';
    const lines = text({ ...direct, networks: [{ socket: '/t/a,b', address }, { address }] }).split('\n');
    expect(lines.filter((line) => line.includes('net'))).toEqual([
      '-netdev stream,id=network0,server=off,addr.type=unix,addr.path=/t/a,,b',
      `-device virtio-net-pci,netdev=network0,mac=${address}`,
      '-netdev user,id=network1',
      `-device virtio-net-pci,netdev=network1,mac=${address}`,
    ]);
  });

  it('boots a kernel and its bundle directly', () => {
    expect(text(direct)).toMatchInlineSnapshot(`
      "-nodefaults
      -no-user-config
      -display none
      -machine q35
      -accel tcg,thread=single
      -cpu max
      -smp 1
      -m 256M
      -no-reboot
      -chardev stdio,id=console,signal=off
      -serial chardev:console
      -device VGA
      -object rng-random,id=entropy,filename=/dev/urandom
      -device virtio-rng-pci,rng=entropy
      -kernel /o/kernel.elf
      -initrd /o/bundle.frb
      -append slot=a"
    `);
  });

  it('boots a disk through firmware on two CPUs', () => {
    expect(text(firmware)).toMatchInlineSnapshot(`
      "-nodefaults
      -no-user-config
      -display none
      -machine q35,pflash0=firmware,pflash1=variables
      -accel tcg,thread=multi
      -cpu max
      -smp 2
      -m 256M
      -no-reboot
      -chardev stdio,id=console,signal=off
      -serial chardev:console
      -device VGA
      -object rng-random,id=entropy,filename=/dev/urandom
      -device virtio-rng-pci,rng=entropy
      -blockdev {"node-name":"firmware","driver":"raw","read-only":true,"file":{"driver":"file","filename":"/f/CODE.fd"}}
      -blockdev {"node-name":"variables","driver":"raw","file":{"driver":"file","filename":"/t/VARS.fd"}}
      -blockdev {"node-name":"disk0-file","driver":"file","filename":"/t/disk.qcow2"}
      -blockdev {"node-name":"disk0","driver":"qcow2","file":"disk0-file"}
      -device virtio-blk-pci,drive=disk0,serial=disk0,bootindex=1,werror=report,rerror=report"
    `);
  });

  it('guards the variables by system management mode under Secure Boot', () => {
    const secure = text({ ...firmware, boot: { kind: 'firmware', code: '/c', variables: '/v', secureBoot: true } });
    expect(secure).toContain('-machine q35,smm=on,pflash0=firmware,pflash1=variables');
    expect(secure).toContain('-global driver=cfi.pflash01,property=secure,value=on');
  });

  it('counts instructions on a fixed clock under icount', () => {
    const counted = text({ ...direct, icount: true });
    expect(counted).toContain('-accel tcg,thread=single\n-icount shift=0,sleep=off');
    expect(counted).toContain('-rtc base=2026-01-01,clock=vm');
  });

  it('logs writes outside of everything else', () => {
    expect(withDisk({ writeLog: '/t/log' })).toMatchInlineSnapshot(`
      "-nodefaults
      -no-user-config
      -display none
      -machine q35,pflash0=firmware,pflash1=variables
      -accel tcg,thread=multi
      -cpu max
      -smp 2
      -m 256M
      -no-reboot
      -chardev stdio,id=console,signal=off
      -serial chardev:console
      -device VGA
      -object rng-random,id=entropy,filename=/dev/urandom
      -device virtio-rng-pci,rng=entropy
      -blockdev {"node-name":"firmware","driver":"raw","read-only":true,"file":{"driver":"file","filename":"/f/CODE.fd"}}
      -blockdev {"node-name":"variables","driver":"raw","file":{"driver":"file","filename":"/t/VARS.fd"}}
      -blockdev {"node-name":"disk0-file","driver":"file","filename":"/t/d"}
      -blockdev {"node-name":"disk0","driver":"qcow2","file":"disk0-file"}
      -blockdev {"node-name":"disk0-log-file","driver":"file","filename":"/t/log"}
      -blockdev {"node-name":"disk0-logged","driver":"blklogwrites","log":"disk0-log-file","log-sector-size":512,"file":"disk0"}
      -device virtio-blk-pci,drive=disk0-logged,serial=disk0,bootindex=1,werror=report,rerror=report"
    `);
  });

  it('counts writes by states and freezes before the one after the last', () => {
    expect(withDisk({ writeFault: { afterWrites: 2, outcome: 'freeze' } })).toMatchInlineSnapshot(`
      "-nodefaults
      -no-user-config
      -display none
      -machine q35,pflash0=firmware,pflash1=variables
      -accel tcg,thread=multi
      -cpu max
      -smp 2
      -m 256M
      -no-reboot
      -chardev stdio,id=console,signal=off
      -serial chardev:console
      -device VGA
      -object rng-random,id=entropy,filename=/dev/urandom
      -device virtio-rng-pci,rng=entropy
      -blockdev {"node-name":"firmware","driver":"raw","read-only":true,"file":{"driver":"file","filename":"/f/CODE.fd"}}
      -blockdev {"node-name":"variables","driver":"raw","file":{"driver":"file","filename":"/t/VARS.fd"}}
      -blockdev {"node-name":"disk0-file","driver":"file","filename":"/t/d"}
      -blockdev {"node-name":"disk0","driver":"qcow2","file":"disk0-file"}
      -blockdev {"node-name":"disk0-faults","driver":"blkdebug","image":"disk0","inject-error":[{"event":"write_aio","iotype":"write","state":3,"errno":5,"once":false}],"set-state":[{"event":"write_aio","state":1,"new_state":2},{"event":"write_aio","state":2,"new_state":3}]}
      -blockdev {"node-name":"disk0-faulty","driver":"raw","file":"disk0-faults"}
      -device virtio-blk-pci,drive=disk0-faulty,serial=disk0,bootindex=1,werror=stop,rerror=report"
    `);
  });

  it('refuses the very first write too', () => {
    const first = withDisk({ writeFault: { afterWrites: 0, outcome: 'error' } });
    expect(first).toContain('"inject-error":[{"event":"write_aio","iotype":"write","state":1,"errno":5,"once":false}]}');
    expect(first).toContain('werror=report');
  });

  it('lets a debugger in before the first instruction', () => {
    expect(text({ ...direct, gdb: 'tcp:127.0.0.1:1234' })).toContain('-gdb tcp:127.0.0.1:1234\n-S');
  });

  it('writes a comma in a socket path twice', () => {
    expect(text({ ...direct, qmp: '/t/a,b' })).toContain('-qmp unix:/t/a,,b,server=on,wait=off');
  });
});

describe('a machine that cannot be', () => {
  it.each([
    ['no CPU', { cpus: 0 }],
    ['half a CPU', { cpus: 1.5 }],
    ['no memory', { memoryMiB: 0 }],
    ['icount on two CPUs', { icount: true, cpus: 2 }],
    ['icount with kvm', { icount: true, accelerator: 'kvm' as const }],
  ])('is refused: %s', (_, change) => {
    expect(() => qemuArguments({ ...direct, ...change })).toThrow(RangeError);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// What machine we want -> the exact argument list of the emulator. Pure: no file is touched, so a test can snapshot it.
// Two ways in: through firmware (OVMF in two flash banks) for the boot chain, or straight into a kernel for all else.
// Not here: finding firmware (`firmware.ts`), making overlays (`disk.ts`), starting it (`machine.ts`).

/** Through UEFI. Both files are per machine or read-only: `variables` is written by the guest. */
export interface FirmwareBoot {
  readonly kind: 'firmware';
  readonly code: string;
  readonly variables: string;
  /** With it the flash is writable in system management mode alone, as Secure Boot needs. */
  readonly secureBoot: boolean;
}

/** The kernel's own entry (an ELF note for PVH): no firmware, no loader, no chain of trust. */
export interface DirectBoot {
  readonly kind: 'direct';
  readonly kernel: string;
  /** The boot bundle. */
  readonly initrd?: string;
  readonly commandLine?: string;
}

/** Writes number `afterWrites` + 1 and later fail. */
export interface WriteFault {
  readonly afterWrites: number;
  /** `freeze`: the machine stops before that write, as if power were about to go. `error`: the guest sees an I/O error. */
  readonly outcome: 'freeze' | 'error';
}

/** Reads that touch this sector (512 bytes) fail with an I/O error. */
export interface ReadFault {
  readonly sector: number;
}

/** Faults that a disk shows to its guest. */
export interface DiskFaults {
  readonly writeFault?: WriteFault;
  readonly readFaults?: readonly ReadFault[];
}

export interface DiskSpec extends DiskFaults {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  readonly readOnly?: boolean;
  /** Every guest write is appended to this file (dm-log-writes format, see `disk-log.ts`). It must exist. */
  readonly writeLog?: string;
}

/** A network device. */
export interface NetworkSpec {
  /**
   * A unix socket where somebody listens already: frames go through it, each behind its length in four bytes, highest first.
   * Without one the emulator itself is the router, and reaches what this host reaches.
   */
  readonly socket?: string;
  /** Ethernet address, such as `52:54:00:12:34:56`. */
  readonly address: string;
}

export interface MachineSpec {
  readonly boot: FirmwareBoot | DirectBoot;
  readonly disks: readonly DiskSpec[];
  readonly networks?: readonly NetworkSpec[];
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly accelerator: 'kvm' | 'tcg';
  /** One virtual nanosecond per instruction: exact and repeatable, on one CPU, and slower. */
  readonly icount: boolean;
  /** Where a debugger connects (`tcp:127.0.0.1:1234`, `unix:/path`); the machine waits for it. */
  readonly gdb?: string;
  /** Unix socket for control. */
  readonly qmp?: string;
  /** Unix socket of a software TPM. */
  readonly tpm?: string;
  /** What a reset that the guest asks for does: `end` the machine (a test then notices a reset loop) or `reboot`. */
  readonly reset: 'end' | 'reboot';
  /** TCG plugins; what they say comes out as lines of the emulator. */
  readonly plugins?: readonly string[];
  /** Lets the guest end the emulator through port 0xf4 with status (value << 1) | 1. */
  readonly exitDevice?: boolean;
}

export const emulator = 'qemu-system-x86_64';
/** The port of the exit device. */
export const exitPort = 0xf4;

/** Arguments after the program's name. Errors: `RangeError` for a machine that the emulator would refuse. */
export function qemuArguments(spec: MachineSpec): string[] {
  check(spec);
  return [
    '-nodefaults',
    '-no-user-config',
    ...['-display', 'none'],
    ...['-machine', machine(spec)],
    ...accelerator(spec),
    ...['-cpu', 'max'],
    ...['-smp', String(spec.cpus)],
    ...['-m', `${spec.memoryMiB}M`],
    // A fixed start of the clock makes two runs under icount alike.
    ...(spec.icount ? ['-rtc', 'base=2026-01-01,clock=vm'] : []),
    ...(spec.reset === 'end' ? ['-no-reboot'] : []),
    // signal=off: the interrupt key belongs to whoever drives the machine, not to the emulator.
    ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
    ...(spec.qmp === undefined ? [] : ['-qmp', `unix:${comma(spec.qmp)},server=on,wait=off`]),
    // The screen that the loader prints on; a screenshot shows it.
    ...['-device', 'VGA'],
    // Entropy for the guest. It is drawn from the host's pool without blocking it.
    ...['-object', 'rng-random,id=entropy,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=entropy'],
    ...boot(spec.boot),
    ...spec.disks.flatMap(disk),
    ...(spec.networks ?? []).flatMap(network),
    ...(spec.tpm === undefined ? [] : tpm(spec.tpm)),
    ...(spec.exitDevice === true ? ['-device', `isa-debug-exit,iobase=0x${exitPort.toString(16)},iosize=4`] : []),
    ...(spec.plugins ?? []).flatMap((plugin) => ['-plugin', `file=${comma(plugin)}`]),
    ...(spec.plugins === undefined ? [] : ['-d', 'plugin']),
    ...(spec.gdb === undefined ? [] : ['-gdb', spec.gdb, '-S']),
  ];
}

function check(spec: MachineSpec): void {
  if (!Number.isInteger(spec.cpus) || spec.cpus < 1 || spec.cpus > 64) throw new RangeError(`cpus: ${spec.cpus} is not 1..64`);
  if (!Number.isInteger(spec.memoryMiB) || spec.memoryMiB < 32)
    throw new RangeError(`memory: ${spec.memoryMiB} MiB is below 32 MiB`);
  if (spec.icount && spec.cpus > 1) throw new RangeError('icount counts on one CPU alone');
  if (spec.icount && spec.accelerator !== 'tcg') throw new RangeError('icount needs the tcg accelerator');
}

function machine(spec: MachineSpec): string {
  const { boot: how } = spec;
  if (how.kind === 'direct') return 'q35';
  return `q35${how.secureBoot ? ',smm=on' : ''},pflash0=firmware,pflash1=variables`;
}

function accelerator(spec: MachineSpec): string[] {
  if (spec.accelerator === 'kvm') return ['-accel', 'kvm'];
  if (spec.icount) return ['-accel', 'tcg,thread=single', '-icount', 'shift=0,sleep=off'];
  return ['-accel', `tcg,thread=${spec.cpus > 1 ? 'multi' : 'single'}`];
}

function boot(how: FirmwareBoot | DirectBoot): string[] {
  if (how.kind === 'direct') {
    return [
      ...['-kernel', how.kernel],
      ...(how.initrd === undefined ? [] : ['-initrd', how.initrd]),
      ...(how.commandLine === undefined ? [] : ['-append', how.commandLine]),
    ];
  }
  return [
    ...blockdev({ 'node-name': 'firmware', driver: 'raw', 'read-only': true, file: { driver: 'file', filename: how.code } }),
    ...blockdev({ 'node-name': 'variables', driver: 'raw', file: { driver: 'file', filename: how.variables } }),
    ...(how.secureBoot ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : []),
  ];
}

/** From the inside out: file, format, faults, log; the device sees the outermost. */
function disk(spec: DiskSpec, index: number): string[] {
  const args: string[] = [];
  let top = '';
  const add = (name: string, options: Record<string, unknown>) => {
    const under = top === '' ? {} : { file: top };
    top = `disk${index}${name}`;
    args.push(...blockdev({ 'node-name': top, ...(spec.readOnly === true ? { 'read-only': true } : {}), ...options, ...under }));
  };
  add('-file', { driver: 'file', filename: spec.path });
  add('', { driver: spec.format });
  if (spec.writeFault !== undefined || spec.readFaults !== undefined) {
    args.push(...blockdev(faults(`disk${index}-faults`, top, spec)));
    top = `disk${index}-faults`;
    // The events of blkdebug are raised by a format driver above it, hence a second `raw`.
    add('-faulty', { driver: 'raw' });
  }
  if (spec.writeLog !== undefined) {
    args.push(...blockdev({ 'node-name': `disk${index}-log-file`, driver: 'file', filename: spec.writeLog }));
    add('-logged', { driver: 'blklogwrites', log: `disk${index}-log-file`, 'log-sector-size': 512 });
  }
  const onError = spec.writeFault?.outcome === 'freeze' ? ',werror=stop' : ',werror=report';
  return [...args, '-device', `virtio-blk-pci,drive=${top},serial=disk${index},bootindex=${index + 1}${onError},rerror=report`];
}

function network(spec: NetworkSpec, index: number): string[] {
  const end =
    spec.socket === undefined
      ? `user,id=network${index}`
      : `stream,id=network${index},server=off,addr.type=unix,addr.path=${comma(spec.socket)}`;
  return ['-netdev', end, '-device', `virtio-net-pci,netdev=network${index},mac=${spec.address}`];
}

function faults(name: string, image: string, spec: DiskSpec): Record<string, unknown> {
  const inject: unknown[] = (spec.readFaults ?? []).map(({ sector }) => ({
    event: 'read_aio',
    iotype: 'read',
    errno: 5,
    sector,
    once: false,
  }));
  const states: unknown[] = [];
  if (spec.writeFault !== undefined) {
    // blkdebug counts by states: it starts in state 1 and each write moves it on by one, to the state that refuses.
    const last = spec.writeFault.afterWrites + 1;
    for (let state = 1; state < last; state += 1) states.push({ event: 'write_aio', state, new_state: state + 1 });
    // Once armed a rule stays, for every kind of access that it does not exclude.
    inject.push({ event: 'write_aio', iotype: 'write', state: last, errno: 5, once: false });
  }
  // An empty list is an unknown option to it.
  const list = (option: string, rules: readonly unknown[]) => (rules.length === 0 ? {} : { [option]: rules });
  return { 'node-name': name, driver: 'blkdebug', image, ...list('inject-error', inject), ...list('set-state', states) };
}

function tpm(socket: string): string[] {
  return [
    '-chardev',
    `socket,id=tpm-socket,path=${comma(socket)}`,
    '-tpmdev',
    'emulator,id=tpm0,chardev=tpm-socket',
    '-device',
    'tpm-tis,tpmdev=tpm0',
  ];
}

function blockdev(options: Record<string, unknown>): string[] {
  return ['-blockdev', JSON.stringify(options)];
}

/** The emulator's own option syntax writes a comma twice. */
function comma(text: string): string {
  return text.replaceAll(',', ',,');
}

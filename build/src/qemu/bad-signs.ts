// SPDX-License-Identifier: PMPL-1.0-or-later
// What must never stand on a console. Searched in every line of every run; a hit ends the run at once,
// unless the test says that it expects exactly this sign. The idea is coreos-assembler's table of console checks.

export interface BadSign {
  readonly name: BadSignName;
  readonly pattern: RegExp;
  /** What it means, for whoever reads the failure. */
  readonly means: string;
}

export type BadSignName =
  | 'kernel-panic'
  | 'server-fault'
  | 'capability-fault'
  | 'verity-mismatch'
  | 'slot-refused'
  | 'no-bootable-slot'
  | 'firmware-exception'
  | 'firmware-shell'
  | 'server-panic'
  | 'degraded'
  | 'test-not-ok'
  | 'guest-reset';

/** The first that matches names the fault, so the more exact ones stand first. */
export const badSigns: readonly BadSign[] = [
  { name: 'kernel-panic', pattern: /^KERNEL-PANIC \{/, means: 'the kernel stopped itself' },
  { name: 'capability-fault', pattern: /capability[ -]fault/i, means: 'a program used a right that it does not hold' },
  { name: 'server-fault', pattern: /^SERVER-FAULT \{/, means: 'a component died of a fault' },
  { name: 'server-panic', pattern: /\bpanicked at\b/, means: 'a Rust program panicked' },
  { name: 'slot-refused', pattern: /^loader: refused slot=/, means: 'the loader did not accept a slot' },
  { name: 'no-bootable-slot', pattern: /^loader: stopped: /, means: 'the loader found nothing to start' },
  {
    name: 'verity-mismatch',
    pattern: /verity[ -]mismatch|verity: .*(does not match|mismatch)/i,
    means: 'a block of the root is not what was signed',
  },
  { name: 'degraded', pattern: /^process: degraded\b/, means: 'a component was given up after too many restarts' },
  { name: 'test-not-ok', pattern: /^not ok \d+/, means: 'a test program reported a failure' },
  {
    name: 'firmware-exception',
    pattern: /X64 Exception Type - |ASSERT [^ ]+\(\d+\)/,
    means: 'the firmware crashed, mostly on what the loader did',
  },
  {
    name: 'firmware-shell',
    pattern: /UEFI Interactive Shell|BdsDxe: No bootable option|BdsDxe: failed to (load|start) Boot\d+ "UEFI (Misc|QEMU|Virtio)/i,
    means: 'the firmware found no loader that it would start',
  },
  { name: 'guest-reset', pattern: /^harness: the guest reset itself/, means: 'a triple fault or an unwanted reboot' },
];

/** The first bad sign in a line that is not among `expected`. */
export function findBadSign(line: string, expected: ReadonlySet<BadSignName>): BadSign | undefined {
  return badSigns.find((sign) => !expected.has(sign.name) && sign.pattern.test(line));
}

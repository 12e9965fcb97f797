// SPDX-License-Identifier: PMPL-1.0-or-later
// The rows of `bench kernel`: their names, what each must and should be, and what the same costs elsewhere in the same emulator,
// counted the same way (guest instructions, one CPU). A row whose operation the kernel does not have yet stands here as well.

export interface KernelRow {
  readonly name: string;
  readonly how: string;
  /** Instructions. */
  readonly must?: number;
  readonly goal?: number;
  /** Most heavy operations in one; the gate counts them too, so that nobody trades instructions for them. */
  readonly heavy?: Readonly<Partial<Record<HeavyOperation, number>>>;
  /** Who, and instructions. seL4: release build, speculation window off. `smp`: built for two cores, run on one. */
  readonly peers: Readonly<Record<string, number>>;
}

/** As `scripts/peer/heavy-operations.c` names them. */
export const heavyOperations = [
  'cr3',
  'syscall',
  'sysret',
  'iret',
  'wrmsr',
  'rdmsr',
  'xsave',
  'xrstor',
  'port',
  'invlpg',
  'swapgs',
  'fsgsbase',
] as const;
export type HeavyOperation = (typeof heavyOperations)[number];

/** Two ways between two spaces, and nothing that waits for more than itself. */
const roundTrip = { cr3: 2, wrmsr: 0, xsave: 0, xrstor: 0, port: 0 };
/** Each call lends the caller's budget, and time is charged: the target is that of a kernel that does so, as seL4 MCS. */
const lent = { must: 450, goal: 320 };
const linuxPipe = { 'Linux pipe': 12_542 };

export const kernelRows: readonly KernelRow[] = [
  {
    name: 'syscall.null',
    how: 'enter, dispatch, leave',
    must: 80,
    goal: 50,
    heavy: { cr3: 0, wrmsr: 0, xsave: 0, xrstor: 0 },
    peers: { seL4: 94, Linux: 213 },
  },
  {
    name: 'ipc.call_reply.other_as.0w',
    how: 'call and reply between two address spaces, no words',
    ...lent,
    heavy: roundTrip,
    peers: { seL4: 437, 'seL4 MCS': 539, 'seL4 smp': 652, 'seL4 MCS smp': 735, ...linuxPipe },
  },
  {
    name: 'ipc.call_reply.other_as.4w',
    how: 'the same, four words each way, all written and read by both sides',
    ...lent,
    heavy: roundTrip,
    peers: { seL4: 589, 'seL4 MCS': 694, 'seL4 smp': 694, ...linuxPipe },
  },
  {
    name: 'ipc.call_reply.other_as.10w',
    how: 'the same, ten words each way',
    must: 600,
    goal: 380,
    heavy: roundTrip,
    peers: { seL4: 1_853, 'seL4 smp': 2_052 },
  },
  {
    name: 'ipc.call_reply.other_as.cap',
    how: 'a round trip that moves one capability, with the call and with the reply in turns',
    must: 1_000,
    goal: 600,
    peers: { 'seL4, more than': 1_650 },
  },
  {
    name: 'ipc.call_reply.same_as.4w',
    how: 'four words each way between two threads of one address space',
    ...lent,
    heavy: { ...roundTrip, cr3: 0 },
    peers: { 'seL4, no words': 433, 'seL4 smp, no words': 614 },
  },
  {
    name: 'notification.ping_pong.other_as',
    how: 'signal and wait, there and back, between two address spaces',
    must: 1_000,
    goal: 600,
    heavy: { cr3: 2, wrmsr: 0 },
    peers: { seL4: 2_108, 'seL4 smp': 2_926, 'Linux eventfd': 10_342 },
  },
  {
    name: 'fault.user_exception.other_as',
    how: 'undefined instruction to a handler in another address space, and back to it',
    must: 700,
    goal: 450,
    heavy: { cr3: 2, wrmsr: 0 },
    peers: { seL4: 1_396, 'seL4 smp': 1_792, 'Linux signal': 3_836 },
  },
  {
    name: 'fault.page_to_pager.other_as',
    how: 'page fault to a pager in another address space, which maps 4 KiB (cleared before), and back',
    must: 1_800,
    goal: 1_000,
    peers: { seL4: 2_076, 'seL4 smp': 2_660, 'Linux anonymous': 2_810 },
  },
  { name: 'memory.map_unmap.4k', how: 'map and unmap one page in the running space', peers: {} },
  { name: 'memory.map_many.512x4k', how: 'map and unmap 512 pages of 4 KiB in the running space, one operation each', peers: {} },
  {
    name: 'thread.create_to_first_signal',
    how: 'create, configure, start a thread, and receive its first signal; its stack is there before',
    must: 7_000,
    goal: 3_500,
    peers: { seL4: 7_327, 'Linux pthread': 71_640 },
  },
  { name: 'pool.create_destroy', how: 'split a pool of 16 frames and destroy it', peers: {} },
  {
    name: 'guest.syscall_trivial',
    how: 'a guest system call to its personality and back',
    must: 220,
    goal: 160,
    peers: { seL4: 1_694, 'Linux SUD': 3_527, 'gVisor getpid': 29_467 },
  },
  {
    name: 'guest.page_fault',
    how: 'a guest page fault to its personality, which maps 4 KiB, and back',
    peers: { 'gVisor anonymous': 13_188 },
  },
  {
    name: 'irq.to_user_thread',
    how: 'from the last instruction of the interrupted program to the first of the thread that waits for the interrupt, in another space',
    peers: {},
  },
  {
    name: 'kernel.longest_interrupts_off',
    how: 'most kernel instructions in a row without a moment for an interrupt: all rows, 100,000 objects destroyed, attacks, 200,000 hostile calls',
    must: 20_000,
    goal: 5_000,
    peers: {},
  },
];

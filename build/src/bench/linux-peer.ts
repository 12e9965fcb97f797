// SPDX-License-Identifier: PMPL-1.0-or-later
// Debian's kernel in the same emulator, running one static program and nothing else: what a Linux cell is compared with.
// The kernel and an initramfs of two files are made once and kept in `folder`. Not here: systemd and a disk (`boots.ts`).
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startMachine } from '../qemu/start.ts';
import { run } from '../toolchain/exec.ts';

export interface Peer {
  readonly kernel: string;
  readonly initrd: string;
}

export interface PeerContext {
  readonly root: string;
  /** Where it is made. */
  readonly folder: string;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/** A guest that runs `program`, a static executable, as its only one. */
export async function makePeer(program: string, { root, folder, say, signal }: PeerContext): Promise<Peer> {
  const scripts = join(root, 'scripts', 'peer');
  const kernel = join(folder, 'vmlinuz');
  if (!existsSync(kernel)) {
    say("fetching Debian's kernel");
    await run('bash', [join(scripts, 'linux-kernel.sh'), kernel], { signal });
  }
  const tree = join(folder, 'initramfs');
  mkdirSync(tree, { recursive: true });
  await run('gcc', ['-O2', '-static', '-o', join(tree, 'init'), join(scripts, 'peer-init.c')], { signal });
  copyFileSync(program, join(tree, 'program'));
  const initrd = join(folder, 'initramfs.cpio');
  await run('cpio', ['-o', '-H', 'newc', '-R', '0:0', '--quiet', '--reproducible'], {
    cwd: tree,
    input: 'init\nprogram\n',
    stdoutTo: initrd,
    signal,
  });
  return { kernel, initrd };
}

/** What the program printed. Errors: those of the machine, and silence for `timeoutMs`. */
export async function runOnPeer(
  peer: Peer,
  args: readonly string[],
  machine: { readonly cpus: number; readonly icount?: boolean; readonly timeoutMs: number; readonly logFolder: string },
): Promise<string[]> {
  const { timeoutMs, ...rest } = machine;
  const started = await startMachine({
    name: 'linux peer',
    boot: { kind: 'direct', ...peer, commandLine: `${commandLine} -- ${args.join(' ')}` },
    memoryMiB: 512,
    accelerator: 'tcg',
    ...rest,
  });
  try {
    await started.console.waitFor(/^peer: ended /, { timeoutMs });
    return started.console.lines.map(({ text }) => text);
  } finally {
    await started.close();
  }
}

/** The peer is helped, not hindered. Without no_timer_check it hangs now and then on a busy host. */
const commandLine = 'console=ttyS0,115200 quiet mitigations=off no_timer_check tsc=reliable';

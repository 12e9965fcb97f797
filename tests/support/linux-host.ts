// SPDX-License-Identifier: PMPL-1.0-or-later
// Linux's own network stack as the guest's peer: a network namespace with a tap device, joined to the wire by an emulator that
// runs no machine. Needs what containers need: user namespaces and /dev/net/tun.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { routerLink } from './frames.ts';
import { root } from './root.ts';

export const prefix = 'fd00:1::';
export const hostAddress = 'fd00:1::1';
export const resolverAddress = 'fd00:1::53';

const script = (socket: string) => `
set -e
ip link set lo up
ip tuntap add tap0 mode tap
ip link set tap0 address 02:00:00:00:00:01
ip link set tap0 up
ip -6 address add ${hostAddress}/64 dev tap0 nodad
ip -6 address add ${routerLink}/64 dev tap0 nodad
ip -6 address add ${resolverAddress}/64 dev tap0 nodad
qemu-system-x86_64 -M none -nodefaults -display none -netdev tap,id=tap,ifname=tap0,script=no,downscript=no \\
  -netdev stream,id=wire,server=off,addr.type=unix,addr.path='${socket}' \\
  -netdev hubport,id=a,hubid=0,netdev=tap -netdev hubport,id=b,hubid=0,netdev=wire <&- &
exec node '${join(root, 'tests', 'support', 'linux-host.mjs')}'
`;

export class LinuxHost {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #last = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Errors: when namespace or device cannot be made, with what was said. */
  static async start(socket: string): Promise<LinuxHost> {
    // When the namespace's first process ends, so do the others in it.
    const args = ['--user', '--map-root-user', '--net', '--pid', '--fork', '--kill-child', 'sh', '-c', script(socket)];
    const child = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const host = new LinuxHost(child);
    let complaint = '';
    child.stderr?.on('data', (bytes: Buffer) => {
      complaint += bytes.toString();
    });
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', () => {
        const error = new Error(`the Linux host ended: ${complaint.trim()}`);
        for (const one of host.#waiting.values()) one.reject(error);
        reject(error);
      });
      createInterface({ input: child.stdout! }).on('line', (line) => {
        if (line === 'up') resolve();
        else host.#answer(JSON.parse(line));
      });
    });
    return host;
  }

  /** Does one of the jobs of `linux-host.mjs`. */
  do<T>(job: string, values: Readonly<Record<string, unknown>>): Promise<T> {
    this.#last += 1;
    const id = this.#last;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.stdin?.write(`${JSON.stringify({ id, job, ...values })}\n`);
    });
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }

  #answer(line: { id: number; result?: never; error?: string }): void {
    const one = this.#waiting.get(line.id);
    this.#waiting.delete(line.id);
    if (line.error === undefined) one?.resolve(line.result!);
    else one?.reject(new Error(line.error));
  }
}

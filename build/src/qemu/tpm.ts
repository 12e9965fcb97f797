// SPDX-License-Identifier: PMPL-1.0-or-later
// A software TPM (swtpm) beside a machine: it keeps its state in a folder, speaks over a unix socket, and ends with its machine.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { InternalError } from '../errors.ts';
import { startProgram } from '../toolchain/qemu.ts';
import { onProcessEnd } from './workspace.ts';

export interface Tpm {
  /** For `MachineSpec.tpm`. One machine at a time; it ends when that one goes. */
  readonly socket: string;
  close(): Promise<void>;
}

const startMs = 10_000;

/** `folder` has a short path, for the socket. Errors: `UserError` `machine/program-missing`; `InternalError` when it does not start. */
export async function startTpm(folder: string): Promise<Tpm> {
  const state = join(folder, 'tpm');
  mkdirSync(state, { recursive: true });
  const socket = join(folder, 'tpm.sock');
  const program = await startProgram('swtpm', [
    'socket',
    '--tpm2',
    '--tpmstate',
    `dir=${state}`,
    '--ctrl',
    `type=unixio,path=${socket}`,
  ]);
  const forget = onProcessEnd(program.kill);
  const close = async () => {
    program.kill();
    await program.ended;
    forget();
  };
  const limit = performance.now() + startMs;
  while (!existsSync(socket)) {
    if (program.child.exitCode !== null || performance.now() > limit) {
      await close();
      throw new InternalError('swtpm did not make its socket');
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { socket, close };
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// qemu-img as a maker of image files for people to take away. What the emulator's harness needs of it is in qemu.ts.

import { run } from './exec.ts';

export interface Qcow2Options {
  readonly raw: string;
  readonly out: string;
  /** zlib, which every reader knows. */
  readonly compress: boolean;
  readonly signal?: AbortSignal;
}

/** The same bytes for the same disk: one coroutine, clusters in order (`-W` would write them as they come). */
export async function convertToQcow2({ raw, out, compress, signal }: Qcow2Options): Promise<void> {
  const args = ['convert', '-q', '-m', '1', '-f', 'raw', '-O', 'qcow2', '-o', 'compat=1.1,cluster_size=65536,lazy_refcounts=off'];
  await run('qemu-img', [...args, ...(compress ? ['-c'] : []), raw, out], signal === undefined ? {} : { signal });
}

/** What `qemu-img check` complains of, none for a whole file. */
export async function checkQcow2(path: string): Promise<readonly string[]> {
  const { code, stdout, stderr } = await run('qemu-img', ['check', '-f', 'qcow2', path], { ok: 'any' });
  return code === 0 ? [] : `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
}

/** Undefined when both show a guest the same disk, otherwise what differs. */
export async function differenceOf(raw: string, qcow2: string): Promise<string | undefined> {
  const { code, stdout, stderr } = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', raw, qcow2], { ok: 'any' });
  return code === 0 ? undefined : (stdout || stderr).trim();
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// mtools: files into a FAT file system without mounting it. Times are SOURCE_DATE_EPOCH, never the file's own and never a clock;
// the caller gives an even number of seconds, since FAT stores no others.

import { run } from './exec.ts';

export interface MtoolsOptions {
  readonly source_date_epoch_seconds: number;
  readonly signal?: AbortSignal;
}

/** Makes one directory; its parent must exist. */
export async function mmd(image: string, directory: string, options: MtoolsOptions): Promise<void> {
  await run('mmd', ['-i', image, `::${directory}`], settings(options));
}

/** Copies the host's file `source` to `target` in the image. */
export async function mcopy(image: string, source: string, target: string, options: MtoolsOptions): Promise<void> {
  await run('mcopy', ['-i', image, source, `::${target}`], settings(options));
}

/** The bytes of a file in the image. */
export async function mtype(image: string, path: string): Promise<Uint8Array> {
  const { stdoutBytes } = await run('mtype', ['-i', image, `::${path}`], { bytes: true, env: environment(0) });
  return stdoutBytes;
}

/** Every file in the image, as `/EFI/BOOT/BOOTX64.EFI`, sorted by bytes. */
export async function listFiles(image: string): Promise<readonly string[]> {
  const { stdout } = await run('mdir', ['-i', image, '-/', '-b', '::/'], { env: environment(0) });
  const paths = stdout.split('\n').map((line) => line.replace(/^::/u, ''));
  return paths.filter((path) => path !== '' && !path.endsWith('/')).sort();
}

/** The person's own mtools settings and time zone would change the bytes. */
function environment(epoch_seconds: number): Record<string, string> {
  return { MTOOLSRC: '/dev/null', TZ: 'UTC', LC_ALL: 'C', SOURCE_DATE_EPOCH: String(epoch_seconds) };
}

function settings(options: MtoolsOptions) {
  const env = environment(options.source_date_epoch_seconds);
  return options.signal === undefined ? { env } : { env, signal: options.signal };
}

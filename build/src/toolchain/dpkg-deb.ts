// SPDX-License-Identifier: PMPL-1.0-or-later
// dpkg-deb: opens a Debian package's container and decompresses the archive of its files. It writes nothing else and runs no script.
import { type RunOptions, run } from './exec.ts';

/** The package's files as a tar archive. */
export async function debFiles(deb: string, tar: string, options: Pick<RunOptions, 'signal'>): Promise<void> {
  await run('dpkg-deb', ['--fsys-tarfile', deb], { ...options, stdoutTo: tar });
}

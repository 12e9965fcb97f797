// SPDX-License-Identifier: PMPL-1.0-or-later
// What git says of the source: commit, its time, and whether the tree differs from it. Outside a repository a build works too.
import { CommandError, run } from './exec.ts';

export interface Source {
  readonly commit: string | undefined;
  /** Files that git knows differ from the commit. */
  readonly changed: boolean;
  /** Seconds since 1970: the time of every file in the image. `SOURCE_DATE_EPOCH` goes first, then the commit's time. */
  readonly epoch: number;
}

/** For a tree without git: the first of January 2026. Any fixed time would do; firmware and tools refuse some before 1980. */
const noCommitEpoch = 1_767_225_600;

export async function sourceOf(root: string): Promise<Source> {
  const given = process.env.SOURCE_DATE_EPOCH;
  const epoch = given !== undefined && /^\d+$/.test(given) ? Number(given) : undefined;
  try {
    const [head, status] = await Promise.all([
      git(root, 'log', '-1', '--format=%H %ct'),
      git(root, 'status', '--porcelain', '--untracked-files=no', '--no-renames', '--ignore-submodules'),
    ]);
    const [commit, time] = head.split(' ');
    return { commit, changed: status !== '', epoch: epoch ?? Number(time) };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { commit: undefined, changed: false, epoch: epoch ?? noCommitEpoch };
  }
}

async function git(root: string, ...args: string[]): Promise<string> {
  // A tree that another user owns (a mounted checkout) is read all the same; nothing in it is run.
  const ended = await run('git', ['-c', `safe.directory=${root}`, '-c', 'core.fsmonitor=false', '-C', root, ...args], {
    env: { GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' },
  });
  return ended.stdout.trim();
}

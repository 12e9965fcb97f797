// SPDX-License-Identifier: PMPL-1.0-or-later
// The locked packages as files: out/.cache/packages/<sha256>.deb. apt downloads what is missing, from the machine's sources; the lock's
// digest decides what is taken, so it does not matter which mirror answered. Read next: unpack.ts.
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { type Apt, aptDownload, aptShow, aptUpdate, aptWords, openApt } from '../toolchain/apt.ts';
import { type LockedPackage, lockFile } from './lock.ts';

export interface FetchOptions {
  /** `out/.cache/packages` */
  readonly cache: string;
  readonly suite: string;
  /** A file of apt's sources instead of the machine's. */
  readonly sources?: string;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
}

export const packageFile = (cache: string, one: LockedPackage) => join(cache, `${one.sha256}.deb`);

/**
 * Returns how many were fetched.
 * Errors: `UserError` `base/package-gone`, `base/package-differs`, `base/no-download`; `machine/program-missing` without apt.
 */
export async function fetchPackages(packages: readonly LockedPackage[], options: FetchOptions): Promise<number> {
  const { cache } = options;
  await mkdir(cache, { recursive: true });
  const missing = packages.filter((one) => !existsSync(packageFile(cache, one)));
  if (missing.length === 0) return 0;
  const folder = await mkdtemp(join(cache, '.fetch-'));
  try {
    const apt = await aptThatKnows(missing, folder, options);
    await aptDownload(apt, missing, folder).catch((error: unknown) => {
      const why = aptWords(error);
      throw why === undefined ? error : noDownload(why, error);
    });
    for (const name of (await readdir(folder)).filter((one) => one.endsWith('.deb')))
      await rename(join(folder, name), join(cache, `${await digest(join(folder, name))}.deb`));
    const differing = missing.filter((one) => !existsSync(packageFile(cache, one)));
    if (differing.length > 0) throw differs(differing);
    return missing.length;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The machine's lists if they have every version; else lists that are fetched now. */
async function aptThatKnows(missing: readonly LockedPackage[], folder: string, options: FetchOptions): Promise<Apt> {
  const { suite, signal, onLine, sources } = options;
  const from = sources === undefined ? {} : { sources };
  const open = (lists: 'machine' | 'own') => openApt({ folder, suite, supplied: [], lists, ...from, signal, onLine });
  const unknown = async (apt: Apt) => {
    const shown = new Set((await aptShow(apt, missing)).map((one) => `${one.name}=${one.version}`));
    return missing.filter((one) => !shown.has(`${one.name}=${one.version}`));
  };
  const machine = await open('machine');
  if ((await unknown(machine)).length === 0) return machine;
  const own = await open('own');
  await aptUpdate(own);
  const gone = await unknown(own);
  if (gone.length > 0) throw isGone(gone, suite);
  return own;
}

const listed = (packages: readonly LockedPackage[]) =>
  `${packages
    .slice(0, 5)
    .map((one) => `${one.name} ${one.version}`)
    .join(', ')}${packages.length > 5 ? ` and ${packages.length - 5} more` : ''}`;

function isGone(gone: readonly LockedPackage[], suite: string): UserError {
  return new UserError(`apt's sources do not have ${listed(gone)}`, {
    code: 'base/package-gone',
    where: lockFile,
    hint:
      `if the archive has newer ones, run \`just lock-base\` and commit ${lockFile}; if this machine has no sources of Debian ` +
      `${suite}, add them; or put the package under out/.cache/packages/<sha256>.deb`,
  });
}

function differs(packages: readonly LockedPackage[]): UserError {
  return new UserError(`the archive has other bytes than are locked for ${listed(packages)}`, {
    code: 'base/package-differs',
    where: lockFile,
    hint: 'another source may shadow Debian’s; nothing of it is used. If the packages are right, run `just lock-base`',
  });
}

function noDownload(why: string, cause: unknown): UserError {
  return new UserError(`apt could not download base packages: ${why}`, {
    code: 'base/no-download',
    where: lockFile,
    hint: 'see that the machine reaches its package sources (apt-get update), then run the same command again',
    cause,
  });
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

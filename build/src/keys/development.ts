// SPDX-License-Identifier: PMPL-1.0-or-later
//
// Development keys: made once for a user, outside any git tree, and used by every build that has no keys of its own.
// Whoever has them can sign for machines that trust them, so an image signed with them says `unreleased`.
// Production keys come from configuration: signing.ts.

import { generateKeyPair, type KeyObject } from 'node:crypto';
import { access, mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { UserError } from '../errors.ts';
import { selfSigned, toPem } from './x509.ts';

export interface KeyFiles {
  readonly folder: string;
  /** ed25519, signs OSTree commits. PKCS#8 PEM. */
  readonly ostree: string;
  /** The Secure Boot hierarchy: platform key, key exchange key, and the key that signs the loader. RSA 2048, PKCS#8 PEM. */
  readonly platform: KeyAndCertificate;
  readonly exchange: KeyAndCertificate;
  readonly loader: KeyAndCertificate;
}

export interface KeyAndCertificate {
  readonly key: string;
  readonly certificate: string;
}

/** `FR_KEYS`, or `flatracoon-os/keys` under `XDG_DATA_HOME` (by default `~/.local/share`). */
export function keyFolder(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  if (environment.FR_KEYS) return resolve(environment.FR_KEYS);
  // The XDG specification has a relative path there ignored.
  const data = environment.XDG_DATA_HOME?.startsWith('/') ? environment.XDG_DATA_HOME : join(homedir(), '.local/share');
  return join(data, 'flatracoon-os', 'keys');
}

export function keyFiles(folder: string): KeyFiles {
  const pair = (name: string): KeyAndCertificate => ({
    key: join(folder, `${name}.key`),
    certificate: join(folder, `${name}.crt`),
  });
  return { folder, ostree: join(folder, 'ostree.key'), platform: pair('PK'), exchange: pair('KEK'), loader: pair('db') };
}

/** Fixed, so that a certificate depends on its key alone. UEFI does not look at them; the end is as far as UTCTime goes. */
const NOT_BEFORE = new Date('2026-01-01T00:00:00Z');
const NOT_AFTER = new Date('2049-12-31T23:59:59Z');
const generate = promisify(generateKeyPair);

/**
 * The user's development keys; made when there are none. `made` says which. All or nothing: the folder appears when every key is in it,
 * and when two builds start at once the first one's keys stay.
 * Errors: UserError `keys/inside-git` when the folder is in a git tree, `keys/incomplete` when it lacks a file.
 */
export async function developmentKeys(folder: string = keyFolder()): Promise<KeyFiles & { readonly made: boolean }> {
  const files = keyFiles(folder);
  if (await exists(folder)) {
    await checkComplete(files);
    return { ...files, made: false };
  }
  await checkOutsideGit(folder);
  await mkdir(dirname(folder), { recursive: true, mode: 0o700 });
  const unfinished = await mkdtemp(`${folder}.unfinished-`);
  try {
    await writeKeys(keyFiles(unfinished));
    await rename(unfinished, folder);
    return { ...files, made: true };
  } catch (error) {
    // Somebody else was faster: rename onto a folder that is not empty.
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await checkComplete(files);
    return { ...files, made: false };
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

async function writeKeys(files: KeyFiles): Promise<void> {
  const { privateKey } = await generate('ed25519');
  await writeSecret(files.ostree, privateKey);
  const pairs = [
    [files.platform, 'FlatRacoon OS development PK', 'authority'],
    [files.exchange, 'FlatRacoon OS development KEK', 'authority'],
    [files.loader, 'FlatRacoon OS development db', 'leaf'],
  ] as const;
  for (const [pair, common_name, use] of pairs) {
    // 2048 bits: what every firmware takes, and what Microsoft's own Secure Boot keys have.
    const { privateKey: private_key } = await generate('rsa', { modulusLength: 2048 });
    await writeSecret(pair.key, private_key);
    const certificate = selfSigned({ private_key, common_name, not_before: NOT_BEFORE, not_after: NOT_AFTER, use });
    await writeFresh(pair.certificate, toPem(certificate), 0o644);
  }
}

const writeSecret = (path: string, key: KeyObject): Promise<void> =>
  writeFresh(path, key.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600);

/** Has its mode from the first moment, whatever the umask gives others. */
async function writeFresh(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function checkComplete(files: KeyFiles): Promise<void> {
  const wanted = [
    files.ostree,
    ...[files.platform, files.exchange, files.loader].flatMap((pair) => [pair.key, pair.certificate]),
  ];
  const there = await Promise.all(wanted.map(exists));
  const missing = wanted.filter((_, index) => there[index] !== true);
  if (missing.length === 0) return;
  throw new UserError(`keys: ${files.folder} has no ${missing.map((path) => path.slice(files.folder.length + 1)).join(', ')}`, {
    code: 'keys/incomplete',
    where: files.folder,
    hint: 'put the missing files back, or move the folder away and run `just keys` (machines that trust the old keys will refuse new images)',
  });
}

/** A key that is committed is no secret any more. */
async function checkOutsideGit(folder: string): Promise<void> {
  for (let parent = dirname(folder); ; parent = dirname(parent)) {
    if (await exists(join(parent, '.git'))) {
      throw new UserError(`keys: ${folder} is inside the git tree ${parent}`, {
        code: 'keys/inside-git',
        where: 'FR_KEYS or XDG_DATA_HOME',
        hint: 'set FR_KEYS to a folder outside every git tree',
      });
    }
    if (parent === dirname(parent)) return;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

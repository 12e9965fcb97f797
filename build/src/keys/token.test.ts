// SPDX-License-Identifier: PMPL-1.0-or-later
// Keys in a token, with a real PKCS#11 module: SoftHSM (packages softhsm2 and opensc).
import { createPublicKey, verify, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { run } from '../toolchain/exec.ts';
import { developmentKeys, type KeyFiles } from './development.ts';
import { type ResolvedSigning, signingKeys } from './signing.ts';

const modules = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
];
const module_path = modules.find(existsSync) ?? '/usr/lib/softhsm/libsofthsm2.so';
const PIN = '471199';
const where = 'configs/update.ncl, signing';
let scratch = '';
let files: KeyFiles;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'token-'));
  files = await developmentKeys(join(scratch, 'keys'));
  await mkdir(join(scratch, 'tokens'));
  await writeFile(join(scratch, 'softhsm.conf'), `directories.tokendir = ${join(scratch, 'tokens')}\n`);
  vi.stubEnv('SOFTHSM2_CONF', join(scratch, 'softhsm.conf'));
  await writeFile(join(scratch, 'pin'), `${PIN}\n`, { mode: 0o600 });
  await run('softhsm2-util', ['--init-token', '--free', '--label', 'release', '--so-pin', '0000', '--pin', PIN]);
  const importing = ['--token', 'release', '--pin', PIN];
  await run('softhsm2-util', ['--import', files.loader.key, ...importing, '--label', 'db', '--id', 'aa']);
  const tool = ['--module', module_path, '--token-label', 'release', '--login', '--pin', PIN];
  await run('pkcs11-tool', [
    ...tool,
    '--keypairgen',
    '--key-type',
    'EC:edwards25519',
    '--usage-sign',
    '--label',
    'commit',
    '--id',
    'bb',
  ]);
}, 60_000);
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(scratch, { recursive: true, force: true });
});

const uri = (object: string, pin = 'pin'): string =>
  `pkcs11:token=release;object=${object}?module-path=${module_path}&pin-source=file:${join(scratch, pin)}`;
const release = (change: Partial<ResolvedSigning> = {}) =>
  signingKeys({
    configured: {
      commit_key: uri('commit'),
      loader_key: uri('db'),
      loader_certificate: files.loader.certificate,
      where,
      ...change,
    },
    profile: 'prod',
    release: true,
    now: new Date(),
  });

test('keys in a token sign a release, the loader with the same bytes as the key file would', async () => {
  const keys = await release();
  expect(keys).toMatchObject({ unreleased: false, commit: { development: false, secret_file: undefined } });
  const message = Buffer.from('attributes');
  const certificate = new X509Certificate(await readFile(files.loader.certificate));
  expect(verify('sha256', message, certificate.publicKey, await keys.loader.sign(message))).toBe(true);

  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(keys.commit.public_key, 'hex')]);
  const public_key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  expect(verify(null, message, public_key, await keys.commit.sign(message))).toBe(true);
});

test('a wrong PIN, and an object that is not there, are refusals without the PIN', async () => {
  await writeFile(join(scratch, 'wrong'), '999888', { mode: 0o600 });
  for (const change of [{ loader_key: uri('db', 'wrong') }, { loader_key: uri('nothing') }]) {
    const error = await release(change).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'keys/token-refused' });
    expect(String(error)).not.toMatch(/999888|471199/u);
  }
});

test('a PIN file that others can read is refused', async () => {
  await writeFile(join(scratch, 'open-pin'), PIN, { mode: 0o644 });
  await expect(release({ commit_key: uri('commit', 'open-pin') })).rejects.toMatchObject({ code: 'keys/readable-by-others' });
});

test('objects that were mixed up are refused', async () => {
  await expect(release({ commit_key: uri('db') })).rejects.toMatchObject({ code: 'keys/wrong-type' });
});

test('without pkcs11-tool the refusal names its package', async () => {
  vi.stubEnv('PATH', scratch);
  await expect(release()).rejects.toMatchObject({ code: 'keys/pkcs11-missing', hint: expect.stringContaining('opensc') });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, verify, X509Certificate } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatError, UserError } from '../errors.ts';
import { developmentKeys, type KeyFiles, keyFiles, keyFolder } from './development.ts';
import { parseReference } from './reference.ts';
import { type ResolvedSigning, type SigningKeys, type SigningRequest, signingKeys } from './signing.ts';
import { selfSigned, toPem } from './x509.ts';

const where = 'configs/update.ncl, signing';
const now = new Date('2026-11-24T00:00:00Z');
let scratch = '';
let files: KeyFiles;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'keys-'));
  files = await developmentKeys(join(scratch, 'data', 'keys'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const dev: SigningRequest = { configured: { where }, profile: 'dev', release: false, now };
const resolve = (change: Partial<SigningRequest>): Promise<SigningKeys> =>
  signingKeys({ ...dev, folder: files.folder, ...change });
const configured = (change: Partial<ResolvedSigning> = {}): ResolvedSigning => ({
  commit_key: files.ostree,
  loader_key: files.loader.key,
  loader_certificate: files.loader.certificate,
  where,
  ...change,
});
const production = (change: Partial<ResolvedSigning> = {}): Promise<SigningKeys> =>
  resolve({ profile: 'prod', release: true, configured: configured(change) });

async function refusal(promise: Promise<unknown>): Promise<UserError> {
  const error = await promise.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (error instanceof UserError) return error;
  throw new Error(`no refusal but ${String(error)}`);
}

async function secretFile(name: string, key: KeyObject, mode = 0o600): Promise<string> {
  const path = join(scratch, name);
  await writeFile(path, key.export({ type: 'pkcs8', format: 'pem' }), { mode });
  return path;
}

describe('development keys', () => {
  test('are made once and then kept', async () => {
    const folder = join(scratch, 'once');
    expect((await developmentKeys(folder)).made).toBe(true);
    const before = await readFile(keyFiles(folder).ostree, 'utf8');
    expect((await developmentKeys(folder)).made).toBe(false);
    expect(await readFile(keyFiles(folder).ostree, 'utf8')).toBe(before);
  });

  test('are readable by their owner only, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      const made = await developmentKeys(join(scratch, 'umask'));
      for (const name of await readdir(made.folder)) {
        const { mode } = await stat(join(made.folder, name));
        expect([name, mode & 0o777]).toEqual([name, name.endsWith('.key') ? 0o600 : 0o644]);
      }
      expect((await stat(made.folder)).mode & 0o777).toBe(0o700);
    } finally {
      process.umask(before);
    }
  });

  test('are the same for two builds that start at once', async () => {
    const folder = join(scratch, 'race');
    const both = await Promise.all([developmentKeys(folder), developmentKeys(folder)]);
    expect(both.filter((one) => one.made)).toHaveLength(1);
    expect((await readdir(scratch)).filter((name) => name.includes('unfinished'))).toEqual([]);
  });

  test('live outside the git tree: FR_KEYS, XDG_DATA_HOME, then the home folder', () => {
    expect(keyFolder({ FR_KEYS: '/k', XDG_DATA_HOME: '/x' })).toBe('/k');
    expect(keyFolder({ XDG_DATA_HOME: '/x' })).toBe('/x/flatracoon-os/keys');
    expect(keyFolder({ XDG_DATA_HOME: 'relative' })).toBe(join(homedir(), '.local/share/flatracoon-os/keys'));
  });

  test('inside a git tree are refused', async () => {
    await mkdir(join(scratch, 'repository', '.git'), { recursive: true });
    const error = await refusal(developmentKeys(join(scratch, 'repository', 'out', 'keys')));
    expect(error.code).toBe('keys/inside-git');
  });

  test('that lack a file are refused and not made anew', async () => {
    const made = await developmentKeys(join(scratch, 'incomplete'));
    await rm(made.loader.key);
    const error = await refusal(developmentKeys(made.folder));
    expect(error.code).toBe('keys/incomplete');
    expect(error.message).toContain('db.key');
  });

  test('sign what their public keys verify', async () => {
    const keys = await resolve({});
    const message = Buffer.from('a commit');
    const raw = Buffer.from(keys.commit.public_key, 'hex');
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
    const public_key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    expect(verify(null, message, public_key, await keys.commit.sign(message))).toBe(true);
    expect(verify('sha256', message, keys.loader.certificate.publicKey, await keys.loader.sign(message))).toBe(true);
    expect(keys).toMatchObject({
      unreleased: true,
      commit: { development: true, not_after_seconds: 0, secret_file: files.ostree },
    });
  });

  test('have certificates that depend on their key alone', async () => {
    const private_key = createPrivateKey(await readFile(files.loader.key));
    const wanted = { private_key, not_before: now, not_after: new Date('2030-01-01'), common_name: 'x', use: 'leaf' } as const;
    expect(selfSigned(wanted).equals(selfSigned(wanted))).toBe(true);
    const certificate = new X509Certificate(selfSigned(wanted));
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.subject).toBe('CN=x');
  });
});

describe('a production build', () => {
  test('with keys of its own is released', async () => {
    const keys = await production({ commit_key_not_after: '2030-01-01T00:00:00Z' });
    expect(keys).toMatchObject({ unreleased: false, commit: { development: false, not_after_seconds: 1_893_456_000 } });
  });

  test('without keys is signed with development keys and says unreleased', async () => {
    expect(await resolve({ profile: 'prod' })).toMatchObject({ unreleased: true, commit: { development: true } });
  });

  test('a development build takes no production key', async () => {
    expect(await resolve({ configured: configured() })).toMatchObject({ unreleased: true });
  });
});

describe('refused:', () => {
  test('a release without keys', async () => {
    const error = await refusal(resolve({ profile: 'prod', release: true }));
    expect(error).toMatchObject({ code: 'keys/release-needs-keys', where });
  });

  test('some keys but not all', async () => {
    const error = await refusal(resolve({ profile: 'prod', configured: { where, commit_key: files.ostree } }));
    expect(error.code).toBe('keys/partly-configured');
    expect(error.message).toContain('loader_key and loader_certificate');
  });

  test('a missing key', async () => {
    const error = await refusal(production({ commit_key: '/nowhere/key' }));
    expect(error).toMatchObject({ code: 'keys/missing', where: `${where}, commit_key` });
    expect(error.message).toContain('/nowhere/key');
  });

  test('a missing certificate', async () => {
    expect((await refusal(production({ loader_certificate: '/nowhere/crt' }))).code).toBe('keys/missing');
  });

  test('a key file that others can read', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const path = await secretFile('open.key', privateKey);
    await chmod(path, 0o640);
    const error = await refusal(production({ commit_key: path }));
    expect(error.code).toBe('keys/readable-by-others');
    expect(error.message).toContain('0640');
  });

  test('an expired key', async () => {
    const error = await refusal(production({ commit_key_not_after: '2026-11-23T00:00:00Z' }));
    expect(error).toMatchObject({ code: 'keys/expired', where: `${where}, commit_key_not_after` });
  });

  test('an expired certificate, and one that is not valid yet', async () => {
    const private_key = createPrivateKey(await readFile(files.loader.key));
    const write = async (not_before: string, not_after: string) => {
      const path = join(scratch, 'dated.crt');
      const dates = { not_before: new Date(not_before), not_after: new Date(not_after) };
      await writeFile(path, toPem(selfSigned({ private_key, common_name: 'x', use: 'leaf', ...dates })));
      return path;
    };
    expect((await refusal(production({ loader_certificate: await write('2020-01-01', '2026-01-01') }))).code).toBe(
      'keys/expired',
    );
    expect((await refusal(production({ loader_certificate: await write('2027-01-01', '2028-01-01') }))).code).toBe(
      'keys/not-yet-valid',
    );
  });

  test("another key's certificate", async () => {
    expect((await refusal(production({ loader_certificate: files.platform.certificate }))).code).toBe('keys/mismatch');
  });

  test('a key of another type', async () => {
    expect((await refusal(production({ commit_key: files.loader.key }))).code).toBe('keys/wrong-type');
    expect((await refusal(production({ loader_key: files.ostree }))).code).toBe('keys/wrong-type');
  });

  test('an encrypted key', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const path = join(scratch, 'encrypted.key');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'word' });
    await writeFile(path, pem, { mode: 0o600 });
    expect((await refusal(production({ commit_key: path }))).code).toBe('keys/encrypted');
  });

  test('a file that is no key, no certificate, no time', async () => {
    const path = join(scratch, 'rubbish');
    await writeFile(path, 'rubbish', { mode: 0o600 });
    expect((await refusal(production({ commit_key: path }))).code).toBe('keys/unreadable');
    expect((await refusal(production({ loader_certificate: path }))).code).toBe('keys/bad-certificate');
    expect((await refusal(production({ commit_key_not_after: 'soon' }))).code).toBe('keys/bad-time');
  });

  test('a PKCS#11 module that is not there', async () => {
    const uri = 'pkcs11:token=t;object=o?module-path=/nowhere/module.so';
    expect((await refusal(production({ commit_key: uri }))).code).toBe('keys/module-missing');
  });

  test('a PKCS#11 URI that lacks its parts', () => {
    expect(() => parseReference('pkcs11:token=t', where)).toThrow('lacks object, module-path');
    expect(() => parseReference('pkcs11:token', where)).toThrow('a part without "="');
    expect(() => parseReference('pkcs11:token=%zz', where)).toThrow('wrong percent sign');
  });

  test('a PIN inside a PKCS#11 URI, without repeating it', () => {
    const uri = 'pkcs11:token=t;object=o?module-path=/m.so&pin-value=471199';
    const error = (() => {
      try {
        return parseReference(uri, where);
      } catch (caught) {
        return caught;
      }
    })();
    expect(error).toMatchObject({ code: 'keys/pin-in-uri' });
    expect(formatError(error)).not.toContain('471199');
  });
});

test('no refusal and no printed form of the keys shows anything of a secret', async () => {
  const pem = await readFile(files.ostree, 'utf8');
  const secret = pem.split('\n')[1] ?? 'no key';
  const broken = join(scratch, 'broken.key');
  await writeFile(broken, pem.replace('BEGIN PRIVATE KEY', 'BEGIN PRIVATE KEYS'), { mode: 0o600 });
  const shown = [formatError(await refusal(production({ commit_key: broken }))), JSON.stringify(await resolve({}))];
  for (const text of shown) expect(text).not.toContain(secret);
});

test('a PKCS#11 URI is taken apart', () => {
  const uri = 'pkcs11:token=FR%20keys;object=commit;type=private?module-path=/usr/lib/m.so&pin-source=file:/run/pin';
  expect(parseReference(uri, where)).toEqual({
    kind: 'token',
    token: 'FR keys',
    object: 'commit',
    module_path: '/usr/lib/m.so',
    pin_source: '/run/pin',
  });
});

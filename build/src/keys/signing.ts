// SPDX-License-Identifier: PMPL-1.0-or-later
//
// Which keys sign a build: those of the configuration, or the user's development keys, or a refusal.
// Everything is checked here, before anything is built: type, mode, expiry, that a certificate belongs to its key.
// Private keys stay behind `sign`; nothing printable holds them. Read next: authenticode.ts, development.ts.

import { createPublicKey, type KeyObject, sign, type X509Certificate } from 'node:crypto';
import { UserError } from '../errors.ts';
import { tokenPublicKey, tokenSign } from '../toolchain/pkcs11-tool.ts';
import type { RsaSigner } from './authenticode.ts';
import { developmentKeys, keyFolder } from './development.ts';
import { loadCertificate, loadKeyFile, parseReference, readSecret, type TokenKey } from './reference.ts';

/** The resolved form of `signing` in `configs/update.ncl`. All three keys or none. */
export interface ResolvedSigning {
  /** ed25519, signs OSTree commits: a file's path or a PKCS#11 URI. */
  readonly commit_key?: string;
  /** RFC 3339; the loader does not accept the key after it. Absent: never. */
  readonly commit_key_not_after?: string;
  /** RSA, signs the loader for Secure Boot: a file's path or a PKCS#11 URI. */
  readonly loader_key?: string;
  /** The loader key's certificate, as enrolled in `db`: a file's path. */
  readonly loader_certificate?: string;
  /** Where it was said, for messages. */
  readonly where: string;
}

export interface SigningRequest {
  readonly configured: ResolvedSigning;
  readonly profile: 'dev' | 'prod';
  /** `build-prod --release`: development keys are refused. */
  readonly release: boolean;
  readonly now: Date;
  readonly folder?: string;
}

export interface SigningKeys {
  /** Signed with development keys: said in the version, on the console and in the manifest. */
  readonly unreleased: boolean;
  /** True when this call made the development keys. */
  readonly made: boolean;
  readonly commit: CommitKey;
  readonly loader: { readonly certificate: X509Certificate; readonly sign: RsaSigner };
}

export interface CommitKey {
  /** 32 bytes as 64 hexadecimal digits. */
  readonly public_key: string;
  readonly development: boolean;
  /** Seconds since 1970; 0 is never. As in the loader's key table. */
  readonly not_after_seconds: number;
  /** The key file for `tools/slot`; undefined when the key is in a token, which `sign` asks. */
  readonly secret_file: string | undefined;
  /** 64 bytes over `message`. */
  readonly sign: (message: Buffer) => Promise<Buffer>;
}

/**
 * The keys of a build. Makes development keys when they are wanted and there are none.
 * Errors (UserError, `keys/…`): release-needs-keys, partly-configured, missing, readable-by-others, encrypted, unreadable, wrong-type,
 * expired, not-yet-valid, mismatch, bad-uri, pin-in-uri, pkcs11-missing, module-missing, token-refused.
 */
export async function signingKeys(request: SigningRequest): Promise<SigningKeys> {
  const { configured, profile, release } = request;
  const given = [configured.commit_key, configured.loader_key, configured.loader_certificate].filter((one) => one !== undefined);
  if (profile === 'prod' && given.length === 3) return configuredKeys(configured, request.now);
  if (profile === 'prod' && given.length > 0) throw partlyConfigured(configured);
  if (release) {
    throw new UserError('keys: a release needs keys of its own, but the configuration names none', {
      code: 'keys/release-needs-keys',
      where: configured.where,
      hint: 'set commit_key, loader_key and loader_certificate there, or build without --release to get an image marked `unreleased`',
    });
  }
  const files = await developmentKeys(request.folder ?? keyFolder());
  const where = files.folder;
  const keys = await configuredKeys(
    { commit_key: files.ostree, loader_key: files.loader.key, loader_certificate: files.loader.certificate, where },
    request.now,
  );
  return { ...keys, unreleased: true, made: files.made, commit: { ...keys.commit, development: true } };
}

async function configuredKeys(configured: ResolvedSigning, now: Date): Promise<SigningKeys> {
  const { commit_key = '', loader_key = '', loader_certificate = '', where } = configured;
  const commit = await commitKey(commit_key, notAfter(configured, now), `${where}, commit_key`);
  const loader = await rsaKey(loader_key, `${where}, loader_key`);
  const certificate = await loadCertificate(loader_certificate, `${where}, loader_certificate`);
  checkCertificate(certificate, loader.public_key, now, `${where}, loader_certificate`);
  return { unreleased: false, made: false, commit, loader: { certificate, sign: loader.sign } };
}

function notAfter(configured: ResolvedSigning, now: Date): number {
  if (configured.commit_key_not_after === undefined) return 0;
  const end = Date.parse(configured.commit_key_not_after);
  const where = `${configured.where}, commit_key_not_after`;
  if (Number.isNaN(end)) {
    throw new UserError(`keys: "${configured.commit_key_not_after}" is no time`, {
      code: 'keys/bad-time',
      where,
      hint: 'write it as 2030-01-01T00:00:00Z',
    });
  }
  if (end <= now.getTime()) throw expired('the commit key', new Date(end), where);
  return Math.floor(end / 1000);
}

async function commitKey(reference: string, not_after_seconds: number, where: string): Promise<CommitKey> {
  const parsed = parseReference(reference, where);
  const common = { development: false, not_after_seconds };
  if (parsed.kind === 'token') {
    const key = await tokenOf(parsed, where);
    const public_key = rawEd25519(await publicKeyIn(key, 'ed25519', where));
    return { ...common, public_key, secret_file: undefined, sign: (message) => tokenSign(key, 'EDDSA', message) };
  }
  const key = await loadKeyFile(parsed.path, 'ed25519', where);
  return {
    ...common,
    public_key: rawEd25519(createPublicKey(key)),
    secret_file: parsed.path,
    sign: async (message) => sign(null, message, key),
  };
}

async function rsaKey(reference: string, where: string): Promise<{ readonly public_key: KeyObject; readonly sign: RsaSigner }> {
  const parsed = parseReference(reference, where);
  if (parsed.kind === 'token') {
    const key = await tokenOf(parsed, where);
    const public_key = await publicKeyIn(key, 'rsa', where);
    return { public_key, sign: (message) => tokenSign(key, 'SHA256-RSA-PKCS', message) };
  }
  const key = await loadKeyFile(parsed.path, 'rsa', where);
  return { public_key: createPublicKey(key), sign: async (message) => sign('sha256', message, key) };
}

async function tokenOf(parsed: TokenKey, where: string) {
  const pin = parsed.pin_source === undefined ? undefined : (await readSecret(parsed.pin_source, where)).trim();
  return { token: parsed.token, object: parsed.object, module_path: parsed.module_path, pin };
}

async function publicKeyIn(key: Parameters<typeof tokenPublicKey>[0], type: string, where: string): Promise<KeyObject> {
  const bytes = await tokenPublicKey(key);
  const pem = bytes.toString('latin1').startsWith('-----');
  const found = pem ? createPublicKey(bytes) : createPublicKey({ key: bytes, format: 'der', type: 'spki' });
  if (found.asymmetricKeyType === type) return found;
  throw new UserError(
    `keys: the token's object "${key.object}" is a key for ${found.asymmetricKeyType}, but ${type} is needed here`,
    {
      code: 'keys/wrong-type',
      where,
      hint: 'see that the objects were not mixed up',
    },
  );
}

/** The last 32 bytes of the SubjectPublicKeyInfo are the key itself (RFC 8410, 4). */
const rawEd25519 = (key: KeyObject): string => key.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');

function checkCertificate(certificate: X509Certificate, public_key: KeyObject, now: Date, where: string): void {
  if (!certificate.publicKey.equals(public_key)) {
    throw new UserError('keys: the certificate belongs to another key than the one that would sign the loader', {
      code: 'keys/mismatch',
      where,
      hint: 'give the certificate that was made for this key',
    });
  }
  const end = new Date(certificate.validTo);
  if (end <= now) throw expired("the loader's certificate", end, where);
  const begin = new Date(certificate.validFrom);
  if (begin > now) {
    throw new UserError(`keys: the loader's certificate is not valid before ${begin.toISOString()}`, {
      code: 'keys/not-yet-valid',
      where,
      hint: "see that this machine's clock is right",
    });
  }
}

function expired(what: string, end: Date, where: string): UserError {
  return new UserError(`keys: ${what} expired on ${end.toISOString()}`, {
    code: 'keys/expired',
    where,
    hint: 'make a new one, and keep the old public key trusted until every machine has moved',
  });
}

function partlyConfigured(configured: ResolvedSigning): UserError {
  const missing = (['commit_key', 'loader_key', 'loader_certificate'] as const).filter((name) => configured[name] === undefined);
  return new UserError(`keys: the configuration names some keys, but not ${missing.join(' and ')}`, {
    code: 'keys/partly-configured',
    where: configured.where,
    hint: 'name all of them or none',
  });
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// How configuration names a key: a file, or an object in a token by a PKCS#11 URI (RFC 7512). Parsing and refusing; no secret is read here
// except a key file's, into a KeyObject, and no message holds anything of it.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { UserError } from '../errors.ts';

/** A token's object, from `pkcs11:token=…;object=…?module-path=…&pin-source=…`. */
export interface TokenKey {
  readonly kind: 'token';
  readonly token: string;
  readonly object: string;
  /** The library that talks to the token. */
  readonly module_path: string;
  /** A file that holds the PIN, readable by its owner only. Absent when the token asks nobody. */
  readonly pin_source: string | undefined;
}

export interface FileKey {
  readonly kind: 'file';
  readonly path: string;
}

/** Parses what configuration says. Errors: UserError `keys/bad-uri`, `keys/pin-in-uri`. `where` is the field. */
export function parseReference(text: string, where: string): TokenKey | FileKey {
  if (!text.startsWith('pkcs11:')) return { kind: 'file', path: text };
  const [path = '', query = ''] = text.slice('pkcs11:'.length).split('?', 2);
  const fields = { ...attributes(path, ';', where), ...attributes(query, '&', where) };
  if ('pin-value' in fields) {
    throw new UserError('keys: a PIN stands in a PKCS#11 URI, where logs and process lists would show it', {
      code: 'keys/pin-in-uri',
      where,
      hint: 'write it into a file of mode 0600 and say pin-source=file:/path',
    });
  }
  const { token, object } = fields;
  const module_path = fields['module-path'];
  if (!token || !object || !module_path) {
    const missing = Object.entries({ token, object, 'module-path': module_path }).flatMap(([name, value]) =>
      value ? [] : [name],
    );
    throw badUri(`lacks ${missing.join(', ')}`, where);
  }
  return { kind: 'token', token, object, module_path, pin_source: fields['pin-source']?.replace(/^file:(\/\/)?/u, '') };
}

function attributes(text: string, separator: string, where: string): Readonly<Record<string, string>> {
  const pairs = text.split(separator).filter((pair) => pair !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at <= 0) throw badUri('has a part without "="', where);
      try {
        return [pair.slice(0, at), decodeURIComponent(pair.slice(at + 1))];
      } catch {
        throw badUri('has a wrong percent sign', where);
      }
    }),
  );
}

function badUri(why: string, where: string): UserError {
  return new UserError(`keys: the PKCS#11 URI ${why}`, {
    code: 'keys/bad-uri',
    where,
    hint: 'write pkcs11:token=NAME;object=NAME?module-path=/usr/lib/…so&pin-source=file:/path',
  });
}

/**
 * A private key from a file, of the wanted type.
 * Errors: UserError `keys/missing`, `keys/readable-by-others`, `keys/encrypted`, `keys/unreadable`, `keys/wrong-type`.
 */
export async function loadKeyFile(path: string, type: 'ed25519' | 'rsa', where: string): Promise<KeyObject> {
  const pem = await readSecret(path, where);
  if (/ENCRYPTED/u.test(pem)) {
    throw new UserError(`keys: ${path} is encrypted, and a build asks for no passphrase`, {
      code: 'keys/encrypted',
      where,
      hint: 'keep the key in a token and give its PKCS#11 URI, or give an unencrypted file of mode 0600',
    });
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    // The cause is left out: nothing of a key file's content may reach a log.
    throw new UserError(`keys: ${path} holds no private key in PEM form`, {
      code: 'keys/unreadable',
      where,
      hint: `make one with: openssl genpkey -algorithm ${type === 'rsa' ? 'RSA -pkeyopt rsa_keygen_bits:2048' : 'ed25519'}`,
    });
  }
  if (key.asymmetricKeyType !== type) {
    throw new UserError(`keys: ${path} is a key for ${key.asymmetricKeyType}, but ${type} is needed here`, {
      code: 'keys/wrong-type',
      where,
      hint: 'see that the files were not mixed up',
    });
  }
  return key;
}

/** The text of a file that only its owner may read. */
export async function readSecret(path: string, where: string): Promise<string> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`keys: there is no key at ${path} (${error.code})`, {
      code: 'keys/missing',
      where,
      hint: 'see that the path is right and its medium is there; for development keys run `just keys`',
    });
  });
  if ((found.mode & 0o077) !== 0) {
    const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
    throw new UserError(`keys: ${path} has the mode ${mode}: others than its owner may read or change it`, {
      code: 'keys/readable-by-others',
      where,
      hint: `chmod 0600 ${path}, and think of who may have read it already`,
    });
  }
  return readFile(path, 'utf8');
}

/** A certificate from a PEM or DER file. Errors: UserError `keys/missing`, `keys/bad-certificate`. */
export async function loadCertificate(path: string, where: string): Promise<X509Certificate> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`keys: there is no certificate at ${path} (${error.code})`, {
      code: 'keys/missing',
      where,
      hint: 'see that the path is right; for development keys run `just keys`',
    });
  });
  try {
    return new X509Certificate(bytes);
  } catch {
    throw new UserError(`keys: ${path} is no X.509 certificate`, {
      code: 'keys/bad-certificate',
      where,
      hint: 'give it in PEM or DER form',
    });
  }
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// pkcs11-tool (OpenSC): signing with a key that never leaves its token. The PIN goes by the environment, never by an argument,
// so that neither the process list nor a failure's command line holds it.

import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { run } from './exec.ts';

export interface TokenObject {
  readonly token: string;
  readonly object: string;
  readonly module_path: string;
  /** Undefined when the token asks for none. */
  readonly pin: string | undefined;
}

/**
 * Signs `message`, which the token hashes. OpenSC up to 0.23 hands at most 1024 bytes to a token in one piece, and ed25519 takes no
 * other form: a longer one is refused by the token.
 */
export async function tokenSign(key: TokenObject, mechanism: 'SHA256-RSA-PKCS' | 'EDDSA', message: Buffer): Promise<Buffer> {
  return inScratch(async (folder) => {
    const input = join(folder, 'message');
    const output = join(folder, 'signature');
    await writeFile(input, message);
    const id = await idOf(key);
    await call(key, ['--sign', '--mechanism', mechanism, '--id', id, '--input-file', input, '--output-file', output]);
    return readFile(output);
  });
}

/** The object's public key: DER or PEM, as the tool's version likes. */
export async function tokenPublicKey(key: TokenObject): Promise<Buffer> {
  return inScratch(async (folder) => {
    const output = join(folder, 'public');
    await call(key, ['--read-object', '--type', 'pubkey', '--id', await idOf(key), '--output-file', output]);
    return readFile(output);
  });
}

/** The id of the private key of that label, since `--sign` heeds no label and would take the token's first key. */
async function idOf(key: TokenObject): Promise<string> {
  const listing = await call(key, ['--list-objects', '--type', 'privkey']);
  const objects = listing.split(/^(?=\S)/mu).map((text) => ({
    label: /^ {2}label: +(.*)$/mu.exec(text)?.[1]?.trim(),
    id: /^ {2}ID: +([0-9a-f]+)/mu.exec(text)?.[1],
  }));
  const [found, second] = objects.filter((object) => object.label === key.object);
  if (found?.id !== undefined && second === undefined) return found.id;
  const why = found === undefined ? 'it has no private key of that label' : 'the label names no single key with an id';
  throw refused(key, why);
}

const PIN_VARIABLE = 'FR_TOKEN_PIN';

async function call(key: TokenObject, args: readonly string[]): Promise<string> {
  await checkModule(key.module_path);
  const login = key.pin === undefined ? [] : ['--login', '--pin', `env:${PIN_VARIABLE}`];
  const all = ['--module', key.module_path, '--token-label', key.token, ...login, ...args];
  const env = key.pin === undefined ? {} : { [PIN_VARIABLE]: key.pin };
  const { code, stdout, stderr } = await run('pkcs11-tool', all, { ok: 'any', env, timeoutMs: 60_000 }).catch(missingTool);
  if (code === 0) return stdout;
  throw refused(
    key,
    (stderr.split('\n').find((line) => /error|CKR_|not found|No slot/iu.test(line)) ?? `it ended with ${code}`).trim(),
  );
}

function refused(key: TokenObject, why: string): UserError {
  return new UserError(`keys: the token "${key.token}" did not serve its object "${key.object}": ${why}`, {
    code: 'keys/token-refused',
    hint: `see what it holds: pkcs11-tool --module ${key.module_path} --token-label ${key.token} --login --list-objects`,
  });
}

async function checkModule(path: string): Promise<void> {
  await stat(path).catch((cause: unknown) => {
    throw new UserError(`keys: there is no PKCS#11 module at ${path}`, {
      code: 'keys/module-missing',
      hint: "install the token's own package, and give the path of its library as module-path",
      cause,
    });
  });
}

function missingTool(cause: unknown): never {
  if (!(cause instanceof UserError) || cause.code !== 'machine/program-missing') throw cause;
  throw new UserError('keys: a key is in a PKCS#11 token, but the program that talks to tokens, pkcs11-tool, is not installed', {
    code: 'keys/pkcs11-missing',
    hint: 'install the package opensc, or give a key file',
    cause,
  });
}

async function inScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'fr-token-'));
  return work(folder).finally(() => rm(folder, { recursive: true, force: true }));
}

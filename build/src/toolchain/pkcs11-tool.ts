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

/** Signs `message` as it is. `RSA-PKCS` pads it, so give a DigestInfo; `EDDSA` hashes by itself. */
export async function tokenSign(key: TokenObject, mechanism: 'RSA-PKCS' | 'EDDSA', message: Buffer): Promise<Buffer> {
  return inScratch(async (folder) => {
    const input = join(folder, 'message');
    const output = join(folder, 'signature');
    await writeFile(input, message);
    await call(key, ['--sign', '--mechanism', mechanism, '--label', key.object, '--input-file', input, '--output-file', output]);
    return readFile(output);
  });
}

/** The object's public key: DER or PEM, as the tool's version likes. */
export async function tokenPublicKey(key: TokenObject): Promise<Buffer> {
  return inScratch(async (folder) => {
    const output = join(folder, 'public');
    await call(key, ['--read-object', '--type', 'pubkey', '--label', key.object, '--output-file', output]);
    return readFile(output);
  });
}

const PIN_VARIABLE = 'FR_TOKEN_PIN';

async function call(key: TokenObject, args: readonly string[]): Promise<void> {
  await checkModule(key.module_path);
  const login = key.pin === undefined ? [] : ['--login', '--pin', `env:${PIN_VARIABLE}`];
  const all = ['--module', key.module_path, '--token-label', key.token, ...login, ...args];
  const env = key.pin === undefined ? {} : { [PIN_VARIABLE]: key.pin };
  const { code, stderr } = await run('pkcs11-tool', all, { ok: 'any', env, timeoutMs: 60_000 }).catch(missingTool);
  if (code === 0) return;
  const said = stderr.split('\n').find((line) => /error|CKR_|not found|No slot/iu.test(line)) ?? `it ended with ${code}`;
  throw new UserError(`keys: the token "${key.token}" did not serve its object "${key.object}": ${said.trim()}`, {
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

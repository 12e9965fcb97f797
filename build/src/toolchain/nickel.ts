// SPDX-License-Identifier: PMPL-1.0-or-later
// Nickel: evaluates an expression to JSON. `.toolchain/bin/nickel` is the real program or the same evaluator behind
// scripts/nickel-export.py; scripts/bootstrap.sh chose. What its diagnostics mean is `config/diagnostics.ts`.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { run } from './exec.ts';

export type Evaluation = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly diagnostic: string };

/** Evaluates `expression` with imports relative to `cwd`. A diagnostic is a result, not a failure. */
export async function evaluate(root: string, expression: string, cwd: string, signal?: AbortSignal): Promise<Evaluation> {
  const program = nickelProgram(root);
  const options = { cwd, input: expression, ok: [0, 1], timeoutMs: 120_000, env: { NO_COLOR: '1' } };
  const ended = await run(
    program,
    ['export', '--format', 'json', '-I', cwd],
    signal === undefined ? options : { ...options, signal },
  );
  if (ended.code === 0) return { ok: true, value: JSON.parse(ended.stdout) };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the evaluator colours its diagnostics, asked or not
  return { ok: false, diagnostic: ended.stderr.replace(/\x1b\[[0-9;]*m/g, '') };
}

export function nickelProgram(root: string): string {
  const program = join(root, '.toolchain/bin/nickel');
  if (existsSync(program)) return program;
  throw new UserError('Nickel is not set up', {
    code: 'machine/program-missing',
    where: program,
    hint: 'run scripts/bootstrap.sh',
  });
}

/** `nickel 1.18.0, the real program …`: what scripts/bootstrap.sh chose. */
export function nickelVersion(root: string): string {
  const file = join(root, '.toolchain/nickel.txt');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : 'not set up';
}

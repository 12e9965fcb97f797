// SPDX-License-Identifier: PMPL-1.0-or-later
// Breaks one rule of the kernel at a time in a copy and runs the kernel's tests on the host: each must be noticed. What noticed it
// stands in out/test/mutants.txt. A mutant that does not compile, or whose tests end without a verdict, proves nothing and fails.
import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { cargoHost, run } from '../../build/src/testing.ts';
import { root } from '../support/root.ts';
import { long } from '../support/samples.ts';
import { type Mutant, mutants } from './mutants.ts';

const source = join(root, 'kernel-rs');
/** Kept between runs: only what a mutant changed is compiled again. */
const target = join(root, 'out', 'mutants', 'target');
const copy = join(root, 'out', 'mutants', 'source');
const report = join(root, 'out', 'test', 'mutants.txt');
/** Enough for each mutant; the tests of a sound kernel make a million. */
const operations = '200000';
const quick = 3;

function copySource(): void {
  rmSync(copy, { recursive: true, force: true });
  for (const part of ['.cargo', 'Cargo.toml', 'Cargo.lock', 'abi', 'machine', 'kernel', 'start']) {
    cpSync(join(source, part), join(copy, part), { recursive: true });
  }
}

function mutated({ file, from, to }: Mutant): string {
  const text = readFileSync(join(source, file), 'utf8');
  expect(text.split(from), `${file}: "${from}" must stand there once`).toHaveLength(2);
  return text.replace(from, () => to);
}

/** The tests that failed; empty if all passed. */
async function failedTests(): Promise<string[]> {
  const { cargo, env } = cargoHost(root);
  const result = await run(cargo, ['test', '--locked', '-p', 'kernel', '--lib'], {
    cwd: copy,
    env: { ...env, CARGO_TARGET_DIR: target, FLATRACOON_OPERATIONS: operations, FLATRACOON_SHRINK: '0', RUST_BACKTRACE: '0' },
    ok: 'any',
    timeoutMs: 600_000,
  });
  const failed = [...result.stdout.matchAll(/^test tests::(\S+) \.\.\. FAILED$/gm)].map(([, name]) => name!);
  const verdict = /^test result: (ok|FAILED)\./m.exec(result.stdout)?.[1];
  expect(verdict, result.stderr.slice(-3000)).toBe(result.code === 0 ? 'ok' : 'FAILED');
  return failed;
}

describe('the tests of the kernel notice that it breaks a rule', () => {
  beforeAll(() => {
    mkdirSync(join(root, 'out', 'test'), { recursive: true });
    rmSync(report, { force: true });
    copySource();
  });

  it('every mutant has its place in the source', () => {
    mutants.forEach(mutated);
  });

  it('a copy without a change passes', async () => {
    expect(await failedTests()).toEqual([]);
  });

  it.for(long ? mutants : mutants.slice(0, quick))('$rule', async (mutant) => {
    const path = join(copy, mutant.file);
    writeFileSync(path, mutated(mutant));
    const failed = await failedTests();
    // Written, not copied: its time tells cargo that it changed again.
    writeFileSync(path, readFileSync(join(source, mutant.file), 'utf8'));
    appendFileSync(report, `${mutant.rule}: ${failed.length === 0 ? 'NOT NOTICED' : `noticed by ${failed.join(', ')}`}\n`);
    expect(failed, 'no test noticed').not.toEqual([]);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// Which parts `just test` consists of, in order: the quick ones first, so that a mistake shows early. Pure.
import { join } from 'node:path';
import type { Part } from './stages.ts';

export interface PartsContext {
  readonly root: string;
  /** The orchestrator's own command line: `[node, run.js]`. */
  readonly orchestrator: readonly [string, string];
  readonly cargo: string;
  /** What cargo needs around it: PATH, RUSTC. */
  readonly cargoEnv: Readonly<Record<string, string | undefined>>;
  /** More samples in the system tests. */
  readonly long: boolean;
}

/** Random operations of the kernel's model; a short run makes a million. */
const longKernel = (part: Part): Part => ({ ...part, env: { ...part.env, FLATRACOON_OPERATIONS: '100000000' } });
const host = 'x86_64-unknown-linux-gnu';
/** The same tests with the address sanitizer: Rust's instrumentation, and the runtime that comes with gcc. */
const sanitizer = (root: string, long: boolean, part: Part): Part => ({
  ...part,
  env: {
    ...part.env,
    RUSTFLAGS: '-Zsanitizer=address -Zexternal-clangrt -Zpre-link-args=-lasan -Clink-arg=-Wl,--no-as-needed -Clink-arg=-lasan',
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER: join(root, 'scripts/with-libasan.sh'),
    FLATRACOON_OPERATIONS: long ? '10000000' : '100000',
  },
});
/** Variations of each fuzz target's corpus; a short run makes 20,000. */
const longFuzz = (part: Part): Part => ({ ...part, env: { ...part.env, FLATRACOON_FUZZ_RUNS: '2000000' } });

/** All parts. Those named `build-...` and `check` count as one test each; the others report theirs. */
export function testParts(context: PartsContext): Part[] {
  const { root } = context;
  const own = (verb: string, ...args: readonly string[]): Part => {
    const [program, script] = context.orchestrator;
    const name = [verb, ...args.filter((word) => !word.startsWith('--'))].join('-');
    return { name, program, args: [script, verb, ...args], cwd: root, reads: 'nothing' };
  };
  const vitest = (project: string, reporter: string): Part => ({
    name: project,
    program: process.execPath,
    args: [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', project, `--reporter=${reporter}`],
    cwd: root,
    env: context.long ? { FLATRACOON_TEST_LONG: '1' } : {},
    reads: 'vitest',
  });
  const cargo = (name: string, folder: string, ...args: readonly string[]): Part => ({
    name,
    program: context.cargo,
    args: ['test', '--locked', '--no-fail-fast', ...args],
    cwd: join(root, folder),
    env: context.cargoEnv,
    reads: 'cargo',
  });
  return [
    own('check'),
    vitest('unit', 'default'),
    context.long ? longKernel(cargo('kernel', 'kernel-rs', '--profile', 'proofs')) : cargo('kernel', 'kernel-rs'),
    sanitizer(root, context.long, cargo('sanitizer', 'kernel-rs', '--lib', '-p', 'machine', '-p', 'kernel', '--target', host)),
    cargo('concurrency', 'kernel-rs/proofs'),
    context.long ? longFuzz(cargo('fuzz', 'kernel-rs/fuzz')) : cargo('fuzz', 'kernel-rs/fuzz'),
    cargo('loader', 'kernel-rs/boot', '--lib'),
    cargo('servers', 'servers-rs', '--workspace'),
    own('build-dev'),
    own('build-prod'),
    own('build-dev', '--variant', 'linux-tests'),
    vitest('system', 'verbose'),
  ];
}

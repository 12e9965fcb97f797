// SPDX-License-Identifier: PMPL-1.0-or-later
// argv -> one command. The only place that prints an error and chooses an exit code. No logic that a test would want.
// Commands are loaded when they are asked for, so that one does not pay for the others. Read next: `commands/command.ts`.
import { parseArgs } from 'node:util';
import type { Command } from './commands/command.ts';
import { exitCodeOf, exitCodes, formatError, Interrupted, UserError } from './errors.ts';
import { chooseForm, createLog } from './log.ts';
import { didYouMean } from './near.ts';
import { repositoryRoot } from './paths.ts';

interface Entry {
  readonly group: string;
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: Command }>;
}

/** Every verb, in the order of the Justfile. A new verb is one line here, one file in `commands/` and one recipe. */
export const verbs: Readonly<Record<string, Entry>> = {
  'build-dev': entry('build', 'build the development image into out/dev', () => import('./commands/build-dev.ts')),
  'build-prod': entry('build', 'build the production image into out/prod', () => import('./commands/build-prod.ts')),
  plan: entry('build', 'print every step, input and partition; build nothing', () => import('./commands/plan.ts')),
  why: entry('build', 'say which input makes, or made, an artifact', () => import('./commands/why.ts')),
  'lock-base': entry(
    'build',
    'write which packages the base image is made of, with digests, into configs/base.lock.json',
    () => import('./commands/lock-base.ts'),
  ),
  clean: entry('build', 'remove out/ and the compiled Rust', () => import('./commands/clean.ts')),
  'run-qemu': entry(
    'run',
    'build and boot a node; its serial console is yours, Ctrl-C leaves',
    () => import('./commands/run-qemu.ts'),
  ),
  keys: entry(
    'build',
    'make the development keys, outside the repository; a build does it by itself',
    () => import('./commands/keys.ts'),
  ),
  test: entry('verify', 'unit tests, Rust tests and boots', () => import('./commands/test.ts')),
  verify: entry('verify', 'check a built image with tools that are not ours', () => import('./commands/verify.ts')),
  'test-long': entry('verify', 'the same with every sample instead of a few', () => import('./commands/test-long.ts')),
  bench: entry('verify', 'measure: `bench SUITE`, see `bench --help`', () => import('./commands/bench.ts')),
  check: entry('verify', 'types, formats, lints, licences, import rules', () => import('./commands/check.ts')),
  doctor: entry(
    'verify',
    'which tools, which versions, what is missing and how to mend it',
    () => import('./commands/doctor.ts'),
  ),
  capabilities: entry('look', 'draw who holds which capability in a running node', () => import('./commands/capabilities.ts')),
  trace: entry('look', 'save what each CPU did last for ui.perfetto.dev', () => import('./commands/trace.ts')),
  graph: entry('look', 'draw who calls whom and who holds what', () => import('./commands/graph.ts')),
  manifest: entry('look', 'print the module manifest as JSON', () => import('./commands/manifest.ts')),
  ssh: entry('run', 'log in to a running node (comes later)', () => import('./commands/ssh.ts')),
  diff: entry('look', 'compare two releases (comes later)', () => import('./commands/diff.ts')),
};

/** Runs one command line and returns the exit code. Never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  const stop = new AbortController();
  let since = 0;
  const onSignal = () => {
    // A wrapper (npx, timeout) passes on what the terminal has sent us already: only a second wish, a while later, is one.
    if (stop.signal.aborted && performance.now() - since > 1_000) process.exit(exitCodes.interrupted);
    if (stop.signal.aborted) return;
    since = performance.now();
    stop.abort(new Interrupted());
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal);
  const json = argv.includes('--json');
  const log = createLog({ form: chooseForm({ json }) });
  try {
    return await dispatch(argv, log, stop.signal);
  } catch (error) {
    log.close();
    const known = stop.signal.aborted ? new Interrupted() : error;
    const code = known instanceof UserError ? known.code : undefined;
    log.event('error', { code, message: known instanceof Error ? known.message : String(known), exit: exitCodeOf(known) });
    process.stderr.write(`${formatError(known)}\n`);
    return exitCodeOf(known);
  } finally {
    log.close();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal);
  }
}

async function dispatch(argv: readonly string[], log: ReturnType<typeof createLog>, signal: AbortSignal): Promise<number> {
  const [verb, ...rest] = argv;
  if (verb === undefined || verb === '--help' || verb === '-h' || verb === 'help') {
    process.stdout.write(help());
    return exitCodes.done;
  }
  const found = verbs[verb];
  if (found === undefined) {
    const hint = 'see `just --list`';
    throw new UserError(`no such command: ${verb}${didYouMean(verb, Object.keys(verbs))}`, { code: 'cli/unknown-command', hint });
  }
  const { command } = await found.load();
  if (rest.includes('--help')) {
    process.stdout.write(`${verb} ${command.usage}\n\n${command.help.trim()}\n`);
    return exitCodes.done;
  }
  const { values, positionals } = parse(verb, command, rest);
  const print = (text: string) => void process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  const context = { root: repositoryRoot(), values, positionals, json: values.json === true, log, signal, print };
  return (await command.run(context)) ?? exitCodes.done;
}

function parse(verb: string, command: Command, args: string[]) {
  const options = { ...command.options, json: { type: 'boolean' as const } };
  try {
    const parsed = parseArgs({ args, options, allowPositionals: true, strict: true });
    const most = command.positionals ?? 0;
    if (parsed.positionals.length > most) throw new TypeError(`Unexpected argument '${parsed.positionals[most]}'`);
    return parsed;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const wrong = /'--?([\w-]+)/.exec(error.message)?.[1] ?? '';
    const near = /^Unknown option/.test(error.message) ? didYouMean(wrong, Object.keys(options)) : '';
    const message = error.message.split('. ')[0] ?? error.message;
    throw new UserError(`${verb}: ${message}${near}`, { code: 'cli/bad-argument', hint: `usage: ${verb} ${command.usage}` });
  }
}

function help(): string {
  const lines = ['FlatRacoon OS: the build orchestrator. `just --list` shows the same verbs; `VERB --help` says more.', ''];
  for (const group of new Set(Object.values(verbs).map((one) => one.group))) {
    lines.push(`${group}:`);
    for (const [name, one] of Object.entries(verbs)) if (one.group === group) lines.push(`  ${name.padEnd(12)} ${one.summary}`);
  }
  lines.push('', 'options of every verb: --json (one JSON object a line on standard output), --help');
  lines.push('exit codes: 0 done, 1 our fault (a stack follows), 2 yours to mend (the message says how), 130 interrupted', '');
  return lines.join('\n');
}

function entry(group: string, summary: string, load: Entry['load']): Entry {
  return { group, summary, load };
}

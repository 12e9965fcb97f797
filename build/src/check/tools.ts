// SPDX-License-Identifier: PMPL-1.0-or-later
// Checks that other programs make: tsc, biome, rustfmt, clippy. A finding is a line of theirs.
import { join } from 'node:path';
import { run } from '../toolchain/exec.ts';
import { cargoHost } from '../toolchain/host.ts';
import { type CheckContext, type Outcome, outcome } from './check.ts';

const workspaces = ['kernel-rs', 'kernel-rs/boot', 'servers-rs'];

export async function types({ root, signal }: CheckContext): Promise<Outcome> {
  const ended = await run(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json', '--pretty', 'false'],
    {
      cwd: root,
      signal,
      ok: [0, 1, 2],
    },
  );
  return outcome(lines(ended.stdout, /error TS/));
}

export async function biome({ root, signal, fix }: CheckContext): Promise<Outcome> {
  const args = fix ? ['check', '--write'] : ['check'];
  const program = join(root, 'node_modules/@biomejs/biome/bin/biome');
  const ended = await run(process.execPath, [program, ...args, '--reporter=github', '--max-diagnostics=200'], {
    cwd: root,
    signal,
    ok: [0, 1],
  });
  return outcome(ended.code === 0 ? [] : lines(`${ended.stdout}\n${ended.stderr}`, /^::(error|warning)/).map(shorten));
}

export async function rustFormat({ root, signal, fix }: CheckContext): Promise<Outcome> {
  const { cargo, env } = cargoHost(root);
  const findings: string[] = [];
  for (const workspace of workspaces) {
    const ended = await run(cargo, ['fmt', '--all', ...(fix ? [] : ['--check'])], {
      cwd: join(root, workspace),
      env,
      signal,
      ok: 'any',
    });
    findings.push(...lines(ended.stdout, /^Diff in /).map((line) => line.replace(`${root}/`, '')));
    if (ended.code !== 0 && findings.length === 0)
      findings.push(`${workspace}: cargo fmt: ${ended.stderr.trim().split('\n')[0]}`);
  }
  return outcome([...new Set(findings)]);
}

/** On the host, where everything but the hardware's crates builds; the same target folder as `cargo test`. */
export async function clippy({ root, signal }: CheckContext): Promise<Outcome> {
  const { cargo, env } = cargoHost(root);
  const findings: string[] = [];
  for (const workspace of workspaces) {
    const scope = workspace === 'kernel-rs/boot' ? ['--lib'] : [];
    const ended = await run(cargo, ['clippy', '--locked', '--message-format=short', ...scope, '--', '-D', 'warnings'], {
      cwd: join(root, workspace),
      env,
      signal,
      ok: 'any',
    });
    const found = lines(ended.stderr, /^\S+\.rs:\d+:\d+: (error|warning)/);
    findings.push(...found.map((line) => `${workspace}/${line}`));
    if (ended.code !== 0 && found.length === 0)
      findings.push(`${workspace}: cargo clippy: ${ended.stderr.trim().split('\n').slice(-3).join(' ')}`);
  }
  return outcome([...new Set(findings)]);
}

function lines(text: string, wanted: RegExp): string[] {
  return text.split('\n').filter((line) => wanted.test(line));
}

/** `::error title=lint/x,file=a.ts,line=1,…::message` -> `a.ts:1 lint/x: message` */
function shorten(line: string): string {
  const [, title = '', file = '', number = '', message = ''] =
    /title=([^,]*),file=([^,]*),line=(\d+)[^:]*::(.*)/.exec(line) ?? [];
  return file === '' ? line : `${file}:${number} ${title}: ${message}`;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// `test`: everything that can be tested, in one run: checks, unit tests of both languages, builds, boots.
// Leaves out/test/junit.xml and logs; its last line is `N passed, N failed`. Which parts there are: `report/parts.ts`.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lock } from '../engine/state.ts';
import { UserError } from '../errors.ts';
import { testParts } from '../report/parts.ts';
import { junit, type Stage, summary, totals } from '../report/results.ts';
import { type Part, runPart } from '../report/stages.ts';
import { cargoHost } from '../toolchain/host.ts';
import { roughDuration } from '../units.ts';
import type { Command, CommandContext } from './command.ts';

export const command: Command = {
  usage: '[--only PART]...',
  help: `Runs all tests: checks, unit tests (TypeScript, Rust), builds, boots. About a quarter of an hour on two cores.

  --only PART   one part, and none of the others; may be repeated
                check unit kernel sanitizer concurrency fuzz loader servers build-dev build-prod build-dev-linux-tests system

Leaves out/test/junit.xml, summary.txt, the parts' logs and the guests' transcripts beside it. The last line is \`N passed, N failed\`.
Exit code 0 when all passed, 1 when any failed or none ran.`,
  options: { only: { type: 'string', multiple: true } },
  run: (context) => runTests(context, { long: false }),
};

/** Shared with `test-long`. */
export async function runTests(context: CommandContext, how: { readonly long: boolean }): Promise<number> {
  const { root, signal } = context;
  const { cargo, env } = cargoHost(root);
  const orchestrator = [process.execPath, process.argv[1] ?? ''] as const;
  const all = testParts({ root, orchestrator, cargo, cargoEnv: env, long: how.long });
  const wanted = chosen(
    context,
    all.map((part) => part.name),
  );
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const unlock = await lock(join(root, 'out'), signal, (pid) => say(`process ${pid} tests in this folder; waiting for it`));
  try {
    return await runParts(
      all.filter((part) => wanted.has(part.name)),
      { root, signal, say },
    );
  } finally {
    await unlock();
  }
}

interface Run {
  readonly root: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

async function runParts(parts: readonly Part[], { root, signal, say }: Run): Promise<number> {
  const out = join(root, 'out', 'test');
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const stages: Stage[] = [];
  for (const part of parts) {
    say(`=== ${part.name}`);
    const stage = await runPart(part, { root, out, signal, say: (line) => say(`  ${line}`) });
    stages.push(stage);
    const { passed, failed } = totals([stage]);
    say(
      `=== ${part.name}: ${failed > 0 ? 'FAILED' : 'ok'}, ${passed} passed, ${failed} failed, ${roughDuration(stage.durationMs)}`,
    );
    // What was not built cannot be booted; the tests of it would only repeat the message.
    if (failed > 0 && part.name.startsWith('build-')) break;
  }
  writeFileSync(join(out, 'junit.xml'), junit(stages));
  const sum = totals(stages);
  writeFileSync(join(out, 'summary.txt'), `${summary(stages)}\n`);
  say(`\nout/test/junit.xml\n${summary(stages)}`);
  return sum.failed > 0 || sum.passed === 0 ? 1 : 0;
}

/** Errors: `UserError` `test/unknown-part`. */
function chosen({ values }: CommandContext, names: readonly string[]): ReadonlySet<string> {
  const only = values.only;
  if (!Array.isArray(only) || only.length === 0) return new Set(names);
  for (const name of only) {
    if (names.includes(String(name))) continue;
    throw new UserError(`there is no part ${name}`, { code: 'test/unknown-part', hint: `use one of ${names.join(', ')}` });
  }
  return new Set(only.map(String));
}

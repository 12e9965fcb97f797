// SPDX-License-Identifier: PMPL-1.0-or-later
// `why`: which input made an artifact's step run last, and what would make it run now.
import { basename, relative, resolve } from 'node:path';
import { planSteps } from '../engine/apply.ts';
import { State } from '../engine/state.ts';
import type { PlannedStep, StepRecord } from '../engine/types.ts';
import { UserError } from '../errors.ts';
import { nearest } from '../near.ts';
import { engineOptions, prepareBuild } from '../steps/build.ts';
import { allSteps } from '../steps/index.ts';
import { roughDuration } from '../units.ts';
import type { Command } from './command.ts';
import { profileOf, verdictWhy, verdictWord } from './plan.ts';

export const command: Command = {
  usage: 'ARTIFACT [--profile dev|prod]',
  help: `Says which input made the step of ARTIFACT run the last time, and which would make it run now. ARTIFACT is a step (kernel, slot, disk)
or a file of out/ (flatracoon-os.raw, out/dev/kernel.elf).

  --profile dev|prod  which build (dev; a path under out/prod says it by itself)`,
  options: { profile: { type: 'string' } },
  positionals: 1,
  async run(context) {
    const { root, log, signal } = context;
    const [wanted] = context.positionals;
    if (wanted === undefined)
      throw new UserError('why what?', {
        code: 'cli/bad-argument',
        hint: 'for example `just why kernel` or `just why flatracoon-os.raw`',
      });
    const profile = /(^|\/)out\/prod\//.test(wanted) ? 'prod' : profileOf(context.values);
    const build = await prepareBuild({ root, profile, release: false, signal });
    const plan = await planSteps(engineOptions(build, log, signal), allSteps(build));
    const found = find(plan.steps, wanted);
    const state = new State(build.outDir);
    const record = await state.read(found.step.name);
    if (context.json) {
      log.event('why', { step: found.step.name, verdict: found.verdict, last: record ?? null });
      return undefined;
    }
    context.print(
      `${found.step.name} makes ${found.step.makes}: ${found.step.outputs.map((path) => relative(root, path)).join(', ')}`,
    );
    if (record === undefined) context.print('last time  it has not been finished here yet');
    else {
      context.print(`last time  ${record.endedAt}, ${roughDuration(record.durationMs)}, because`);
      for (const line of await causes(state, record, new Set())) context.print(`             ${line}`);
    }
    context.print(`now        ${verdictWord(found)}: ${verdictWhy(found)}`);
    for (const line of chain(plan.steps, found)) context.print(`             ${line}`);
    return undefined;
  },
};

/** The reasons of a step's last run; a step before it that changed is followed to its own reasons, down to the source. */
async function causes(state: State, record: StepRecord, seen: Set<string>): Promise<string[]> {
  const reasons = record.reasons.length > 0 ? record.reasons : ['a step before it made something else'];
  const lines: string[] = [];
  for (const reason of reasons) {
    lines.push(reason);
    const name = /^step (\S+) changed$/.exec(reason)?.[1];
    const before = name === undefined || seen.has(name) ? undefined : await state.read(name);
    if (name === undefined || before === undefined) continue;
    seen.add(name);
    lines.push(...(await causes(state, before, seen)).map((line) => `  ${line}`));
  }
  return lines;
}

function find(steps: readonly PlannedStep[], wanted: string): PlannedStep {
  const path = resolve(wanted);
  const found =
    steps.find(({ step }) => step.name === wanted) ??
    steps.find(({ step }) => step.outputs.includes(path)) ??
    steps.find(({ step }) => step.outputs.some((output) => basename(output) === basename(wanted)));
  if (found !== undefined) return found;
  const names = steps.flatMap(({ step }) => [step.name, ...step.outputs.map((output) => basename(output))]);
  const near = nearest(basename(wanted), names);
  const hint = near === undefined ? `known are: ${steps.map(({ step }) => step.name).join(', ')}` : `did you mean \`${near}\`?`;
  throw new UserError(`no step makes \`${wanted}\``, { code: 'why/unknown-artifact', hint });
}

/** For a step that waits: the steps before it that would run, and their reasons, down to the first cause. */
function chain(steps: readonly PlannedStep[], from: PlannedStep): string[] {
  const seen = new Set<string>();
  const lines: string[] = [];
  const visit = (one: PlannedStep) => {
    for (const input of one.inputs.filter((each) => each.digest === undefined)) {
      const name = input.label.replace(/^step /, '');
      const before = steps.find(({ step }) => step.name === name);
      if (before === undefined || seen.has(name)) continue;
      seen.add(name);
      lines.push(`${name} would ${verdictWord(before)}: ${verdictWhy(before)}`);
      visit(before);
    }
  };
  visit(from);
  return lines;
}

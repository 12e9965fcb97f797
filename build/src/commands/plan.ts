// SPDX-License-Identifier: PMPL-1.0-or-later
// `plan`: every step with what it reads and whether it would run, and every partition with its place. Builds nothing.
import { relative } from 'node:path';
import { planSteps } from '../engine/apply.ts';
import type { PlannedStep } from '../engine/types.ts';
import { UserError } from '../errors.ts';
import { renderPlan } from '../image/plan.ts';
import { type Build, engineOptions, prepareBuild } from '../steps/build.ts';
import { diskPlan } from '../steps/disk.ts';
import { allSteps } from '../steps/index.ts';
import { type Command, text, type Values } from './command.ts';
import { table } from './table.ts';

export const command: Command = {
  usage: '[--profile dev|prod]',
  help: `Prints every step of a build: what it makes, whether it would run and why, each input with its digest, each tool with its
version, and every partition with offset, size and content. Builds nothing. With --json one object that holds all of it.

  --profile dev|prod  which build (dev)`,
  options: { profile: { type: 'string' } },
  async run(context) {
    const { root, log, signal } = context;
    const build = await prepareBuild({ root, profile: profileOf(context.values), release: false, signal });
    const { steps } = await planSteps(engineOptions(build, log, signal), allSteps(build));
    const disk = diskPlan(build);
    if (context.json) {
      const { version, profile, source, rust } = build;
      log.event('plan', { profile, version, source, rust, steps: steps.map((step) => asJson(build, step)), disk });
      return undefined;
    }
    context.print(`${build.profile} ${build.version}, Rust from ${build.rust.kind}: ${build.rust.version}\n`);
    const rows = steps.map((one) => [one.step.name, verdictWord(one), one.step.makes, verdictWhy(one)]);
    context.print(table(['step', 'would', 'makes', 'because'], rows));
    context.print('');
    context.print(table(['step', 'input', 'sha256'], steps.flatMap(inputRows)));
    context.print('');
    context.print(renderPlan(disk));
    return undefined;
  },
};

/** `--profile`, dev by default. */
export function profileOf(values: Values): 'dev' | 'prod' {
  const profile = text(values, 'profile') ?? 'dev';
  if (profile === 'dev' || profile === 'prod') return profile;
  throw new UserError(`there is no profile \`${profile}\``, {
    code: 'cli/bad-argument',
    hint: 'use --profile dev or --profile prod',
  });
}

export function verdictWord({ verdict }: PlannedStep): string {
  return { same: 'stay', run: 'RUN', waits: 'perhaps' }[verdict.kind];
}

export function verdictWhy({ verdict }: PlannedStep): string {
  if (verdict.kind === 'run') return verdict.reasons.slice(0, 2).join('; ') + (verdict.reasons.length > 2 ? '; …' : '');
  return verdict.kind === 'waits' ? `if ${verdict.for.join(' or ')} makes something else` : 'nothing changed';
}

function inputRows({ step, inputs }: PlannedStep): string[][] {
  return inputs.map((input, n) => [
    n === 0 ? step.name : '',
    input.label.startsWith('tool ') ? `${input.label}: ${input.text}` : input.label,
    input.digest?.slice(0, 16) ?? 'known when it has run',
  ]);
}

function asJson(build: Build, { step, inputs, verdict }: PlannedStep) {
  return {
    name: step.name,
    makes: step.makes,
    verdict,
    inputs: inputs.map(({ label, digest, text: version }) => ({
      label,
      sha256: digest ?? null,
      ...(version === undefined ? {} : { text: version }),
    })),
    outputs: step.outputs.map((path) => relative(build.root, path)),
  };
}

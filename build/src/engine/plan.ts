// SPDX-License-Identifier: PMPL-1.0-or-later
// Which steps would run, and why: compares each step's inputs and outputs with what was recorded when it last ended well.
// Changes nothing on disk but the memory of digests. Read next: apply.ts.
import { relative } from 'node:path';
import { InternalError } from '../errors.ts';
import { type Digests, digestOf } from './digests.ts';
import type { State } from './state.ts';
import type { DigestedInput, Input, Json, Plan, PlannedStep, Step, StepRecord, Verdict } from './types.ts';

/** Digest of a step's outputs, or undefined when it must run before anybody knows. */
export type OutputsOf = (step: string) => string | undefined;

/** `steps` in an order in which each stands after those that it reads. */
export async function makePlan(root: string, steps: readonly Step[], state: State, digests: Digests): Promise<Plan> {
  const outputs = new Map<string, string | undefined>();
  const planned: PlannedStep[] = [];
  for (const step of steps) {
    const one = await planStep(root, step, state, digests, (name) => known(outputs, step, name));
    outputs.set(step.name, one.verdict.kind === 'same' ? outputsDigest(await state.read(step.name)) : undefined);
    planned.push(one);
  }
  return { steps: planned };
}

/** One step, with what is known of the steps before it. */
export async function planStep(
  root: string,
  step: Step,
  state: State,
  digests: Digests,
  outputsOf: OutputsOf,
): Promise<PlannedStep> {
  const inputs = await Promise.all(step.inputs.map((input) => digestInput(root, input, digests, outputsOf)));
  const record = await state.read(step.name);
  const reasons = [
    ...(await outputReasons(root, step, record, digests)),
    ...(record === undefined ? [] : inputReasons(inputs, record.inputs)),
  ];
  return { step, inputs, verdict: verdictOf(reasons, inputs) };
}

export function outputsDigest(record: StepRecord | undefined): string | undefined {
  return record === undefined ? undefined : digestOf(record.outputs.map(({ path, sha256 }) => [path, sha256]));
}

function verdictOf(reasons: readonly string[], inputs: readonly DigestedInput[]): Verdict {
  if (reasons.length > 0) return { kind: 'run', reasons };
  const waits = inputs.filter((input) => input.digest === undefined).map((input) => input.label.replace(/^step /, ''));
  return waits.length > 0 ? { kind: 'waits', for: waits } : { kind: 'same' };
}

function known(outputs: ReadonlyMap<string, string | undefined>, step: Step, name: string): string | undefined {
  if (outputs.has(name)) return outputs.get(name);
  throw new InternalError(`the step ${step.name} reads ${name}, which does not stand before it`);
}

async function digestInput(root: string, input: Input, digests: Digests, outputsOf: OutputsOf): Promise<DigestedInput> {
  switch (input.kind) {
    case 'file': {
      const label = `file ${relative(root, input.path)}`;
      return { label, digest: (await digests.ofFile(input.path)) ?? 'absent' };
    }
    case 'tree': {
      const files = await digests.ofTree(input.path, input.ignore);
      const label = `tree ${relative(root, input.path)}`;
      return files === undefined ? { label, digest: 'absent' } : { label, digest: digestOf(files), files };
    }
    case 'value':
      return { label: `value ${input.name}`, digest: digestOf(input.value), ...describeValue(input.value) };
    case 'step':
      return { label: `step ${input.step}`, digest: outputsOf(input.step) };
    case 'tool':
      return { label: `tool ${input.name}`, digest: digestOf(input.version), text: input.version };
  }
}

/** Why the recorded outputs cannot be trusted or do not exist. */
async function outputReasons(root: string, step: Step, record: StepRecord | undefined, digests: Digests): Promise<string[]> {
  if (record === undefined) return ['it was never finished here'];
  const reasons: string[] = [];
  for (const path of step.outputs) {
    const label = relative(root, path);
    const kept = record.outputs.find((output) => output.path === label);
    const now = await digests.ofFile(path);
    if (kept === undefined) reasons.push(`${label} is a new output of it`);
    else if (now === undefined) reasons.push(`${label} is missing`);
    else if (now !== kept.sha256) reasons.push(`${label} is not what the step made`);
  }
  return reasons;
}

/** What differs between two lists of inputs, the most telling first: a file before a folder, values with from and to. */
export function inputReasons(now: readonly DigestedInput[], before: readonly DigestedInput[]): string[] {
  const reasons: string[] = [];
  for (const input of now) {
    const old = before.find((one) => one.label === input.label);
    if (old === undefined) reasons.push(`${input.label} is new`);
    else if (input.digest !== undefined && input.digest !== old.digest) reasons.push(...difference(input, old));
  }
  for (const old of before) if (!now.some((one) => one.label === old.label)) reasons.push(`${old.label} is no longer read`);
  return reasons;
}

function difference(now: DigestedInput, old: DigestedInput): string[] {
  if (now.digest === 'absent') return [`${now.label} is gone`];
  if (now.files !== undefined && old.files !== undefined) {
    const folder = now.label.replace(/^tree /, '');
    const { files } = now;
    const before = old.files;
    const paths = [...new Set([...Object.keys(files), ...Object.keys(before)])].sort();
    const changed = paths.filter((path) => files[path] !== before[path]);
    const word = (path: string) => (before[path] === undefined ? 'is new' : files[path] === undefined ? 'is gone' : 'changed');
    const shown = changed.slice(0, 5).map((path) => `${folder}/${path} ${word(path)}`);
    return changed.length > 5 ? [...shown, `and ${changed.length - 5} more files in ${folder}`] : shown;
  }
  if (now.fields !== undefined && old.fields !== undefined) {
    const before = old.fields;
    const after = now.fields;
    const names = [...new Set([...Object.keys(after), ...Object.keys(before)])].filter((name) => after[name] !== before[name]);
    return names.map(
      (name) => `${now.label}: ${name} changed from ${short(before[name] ?? 'nothing')} to ${short(after[name] ?? 'nothing')}`,
    );
  }
  if (now.text !== undefined && old.text !== undefined && now.text !== old.text)
    return [`${now.label} changed from ${old.text} to ${now.text}`];
  return [`${now.label} changed`];
}

function describeValue(value: Json): Pick<DigestedInput, 'fields' | 'text'> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return { text: short(JSON.stringify(value)) };
  return { fields: Object.fromEntries(leaves(value, '')) };
}

/** Every plain value below a record, by its path. Lists of plain values count as one. */
function leaves(value: Json, at: string): [string, string][] {
  const plain =
    value === null || typeof value !== 'object' || (Array.isArray(value) && value.every((one) => typeof one !== 'object'));
  if (plain) return [[at, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner as Json, at === '' ? key : `${at}.${key}`));
}

function short(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

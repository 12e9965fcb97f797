// SPDX-License-Identifier: PMPL-1.0-or-later
// Our host tools: `bundle` and `slot`, programs of servers-rs. They print one JSON object, say 2 for the input's fault and 1 for ours.
import { InternalError, UserError } from '../errors.ts';
import { run } from './exec.ts';

export interface ToolContext {
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
}

export type Report = Readonly<Record<string, unknown>>;

/** `program` is the built tool's path. Errors: `UserError` `bundle/refused`. */
export function bundle(program: string, args: readonly string[], context: ToolContext): Promise<Report> {
  return tool('bundle', program, args, context);
}

/** Errors: `UserError` `slot/…` with the tool's own code behind it. */
export function slot(program: string, args: readonly string[], context: ToolContext): Promise<Report> {
  return tool('slot', program, args, context);
}

async function tool(name: string, program: string, args: readonly string[], { signal, onLine }: ToolContext): Promise<Report> {
  const onStderr = (line: string, from: string) => {
    if (from === 'stderr') onLine(line);
  };
  const ended = await run(program, args, { signal, onLine: onStderr, ok: [0, 2] });
  if (ended.code === 0) return parse(ended.stdout, ended.command);
  if (/No space left on device/.test(ended.stderr)) throw diskFull(ended.stderr);
  // `slot` puts its error into its report; `bundle` says it in words only.
  const { error = {} } = parse(ended.stdout, ended.command) as { error?: { code?: string; message?: string; hint?: string } };
  throw new UserError(`${name}: ${error.message ?? ended.stderr.trim()}`, {
    code: `${name}/${error.code ?? 'refused'}`,
    where: `input of \`${name} ${args[0] ?? ''}\``,
    hint: error.hint ?? "correct what it names; the step's log has all that it said",
  });
}

function parse(text: string, command: string): Report {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text) as Report;
  } catch (cause) {
    throw new InternalError(`no JSON from ${command}: ${text.slice(0, 200)}`, { cause });
  }
}

function diskFull(text: string): UserError {
  const hint = 'free some space (`just clean` removes out/), then run the same command again';
  return new UserError(`the disk is full: ${text.trim()}`, { code: 'machine/disk-full', hint });
}

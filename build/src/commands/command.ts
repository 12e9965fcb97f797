// SPDX-License-Identifier: PMPL-1.0-or-later
// What a verb of the command line is. Each verb is one file here that exports `command`; `../cli.ts` has the list.
import type { ParseArgsConfig } from 'node:util';
import type { Log } from '../log.ts';

export interface Command {
  /** `[--slot A|B] [--smp N]`: what may follow the verb. */
  readonly usage: string;
  /** What it does, what it leaves behind; a few lines for `--help`. */
  readonly help: string;
  /** As for `parseArgs` of node:util. `--json` and `--help` are added by the command line. */
  readonly options?: NonNullable<ParseArgsConfig['options']>;
  /** How many words may follow; none by default. */
  readonly positionals?: number;
  /** Ends well by returning (exit 0) or by returning an exit code; anything thrown is printed by the command line. */
  run(context: CommandContext): Promise<number | undefined>;
}

export type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

export interface CommandContext {
  /** The repository's root, absolute. */
  readonly root: string;
  readonly values: Values;
  readonly positionals: readonly string[];
  readonly json: boolean;
  readonly log: Log;
  /** Fires on Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** Results for a person or a machine: standard output. */
  print(text: string): void;
}

/** A string option, or undefined. */
export function text(values: Values, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

export function flag(values: Values, name: string): boolean {
  return values[name] === true;
}

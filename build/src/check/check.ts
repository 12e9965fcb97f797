// SPDX-License-Identifier: PMPL-1.0-or-later
// What a check is. Types and one helper.

export interface CheckContext {
  readonly root: string;
  /** Let tools mend what they can. */
  readonly fix: boolean;
  readonly signal: AbortSignal;
}

export interface Outcome {
  /** One line each, with file and line where there is one; none when all is well. */
  readonly findings: readonly string[];
  readonly note: string | undefined;
}

export interface Check {
  readonly name: string;
  run(context: CheckContext): Promise<Outcome>;
}

export function outcome(findings: readonly string[], note?: string): Outcome {
  return { findings, note };
}

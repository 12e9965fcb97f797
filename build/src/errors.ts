// SPDX-License-Identifier: PMPL-1.0-or-later
// The two kinds of failure. A `UserError` is the input's fault: exit 2, no stack, and it says what to do.
// An `InternalError` (and anything else that is thrown) is ours: exit 1, with the stack.
// Only `cli.ts` prints them and sets the exit code. Read next: `log.ts`.

/** Exit codes of every command. They are documented in `--help`. */
export const exitCodes = { done: 0, ours: 1, yours: 2, interrupted: 130 } as const;

export interface UserErrorOptions {
  /** A stable name such as `config/unknown-field`: part/fault. Tests and machines rely on it. */
  readonly code: string;
  /** Where it was said: `configs/kernel.ncl:12 field kernel.max_cpus`, a file, a device. */
  readonly where?: string;
  /** What to do about it, as a sentence or a command. */
  readonly hint?: string;
  /** Path of the log that holds the whole story. */
  readonly log?: string;
  readonly cause?: unknown;
}

/** A mistake of the input or a lack of the machine, which a person can mend. The message names the value that was found. */
export class UserError extends Error {
  readonly code: string;
  readonly where: string | undefined;
  readonly hint: string | undefined;
  readonly log: string | undefined;

  constructor(message: string, options: UserErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'UserError';
    this.code = options.code;
    this.where = options.where;
    this.hint = options.hint;
    this.log = options.log;
  }
}

/** Several mistakes, shown together. `code` is that of the first one. */
export class UserErrors extends UserError {
  readonly errors: readonly UserError[];

  constructor(errors: readonly UserError[]) {
    const [first] = errors;
    if (first === undefined) throw new InternalError('UserErrors without an error');
    super(errors.length === 1 ? first.message : `${errors.length} mistakes`, { code: first.code });
    this.errors = errors;
  }
}

/** Throws all of `errors` together; returns when there are none. */
export function throwAll(errors: readonly UserError[]): void {
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new UserErrors(errors);
}

/** A fault of the orchestrator itself, or of a program that it called with what ought to be right. */
export class InternalError extends Error {
  /** Path of the log that holds the whole story. */
  readonly log: string | undefined;

  constructor(message: string, options: { readonly log?: string; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'InternalError';
    this.log = options.log;
  }
}

/** The person or the system asked us to stop (SIGINT, SIGTERM). Exit 130; nothing to mend. */
export class Interrupted extends Error {
  constructor(message = 'interrupted: nothing half-written is used; run the same command again to go on') {
    super(message);
    this.name = 'Interrupted';
  }
}

export function exitCodeOf(error: unknown): number {
  const known = asKnown(error);
  if (known instanceof UserError) return exitCodes.yours;
  if (known instanceof Interrupted) return exitCodes.interrupted;
  return exitCodes.ours;
}

/** The text for a person: no stack for their mistakes, a stack for ours. */
export function formatError(error: unknown): string {
  const known = asKnown(error);
  if (known instanceof UserErrors) {
    return `${known.errors.map(formatUserError).join('\n\n')}\n\n${known.errors.length} mistakes; nothing was built.`;
  }
  if (known instanceof UserError) return formatUserError(known);
  if (known instanceof Interrupted) return known.message;
  if (known instanceof Error) {
    const log = known instanceof InternalError && known.log !== undefined ? `\n  log: ${known.log}` : '';
    const cause = known.cause === undefined ? '' : `\n  cause: ${formatError(known.cause)}`;
    return `this is a fault of the orchestrator: ${known.message}${log}${cause}\n${known.stack ?? ''}`;
  }
  return `this is a fault of the orchestrator: ${String(known)}`;
}

function formatUserError(error: UserError): string {
  const lines = [`error[${error.code}]: ${error.message}`];
  if (error.where !== undefined) lines.push(`  where: ${error.where}`);
  if (error.hint !== undefined) lines.push(`  do:    ${error.hint}`);
  if (error.log !== undefined) lines.push(`  log:   ${error.log}`);
  return lines.join('\n');
}

/** Errors of the machine that a person can mend come from node as errno codes: turn those into a `UserError`. */
export function asKnown(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof UserError) return error;
  const { code, path } = error as NodeJS.ErrnoException;
  const where = path === undefined ? {} : { where: path };
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new UserError('the disk is full', {
      ...where,
      code: 'machine/disk-full',
      hint: 'free some space (`just clean` removes out/), then run the same command again; half-written files are not used',
      cause: error,
    });
  }
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') {
    return new UserError(`not allowed to touch ${path ?? 'a file'}: ${code}`, {
      ...where,
      code: 'machine/not-permitted',
      hint: 'check the owner and mode of that path',
      cause: error,
    });
  }
  return error;
}

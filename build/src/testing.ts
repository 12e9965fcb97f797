// SPDX-License-Identifier: PMPL-1.0-or-later
// The only door for `tests/`: what a test may use of the orchestrator. Anything else in `build/src` may change without asking a test.
export { exitCodes, formatError, InternalError, UserError, UserErrors } from './errors.ts';
export { createLog } from './log.ts';
export { formatSize, parseDurationUs, parseSize } from './units.ts';
export { CommandError, run } from './toolchain/exec.ts';
export type { RunOptions, RunResult } from './toolchain/exec.ts';

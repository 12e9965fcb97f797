// SPDX-License-Identifier: PMPL-1.0-or-later
// How a failed run is told: what was awaited and for how long, what was seen instead, the last lines, where the whole log is,
// and the command that repeats it by hand. Thrown by `console.ts` and `machine.ts`.

import { roughDuration } from '../units.ts';
import type { BadSign } from './bad-signs.ts';

/** Lines of the console in a failure's message. */
const shownLines = 40;

export type FailureCause =
  | { readonly kind: 'silence' }
  | { readonly kind: 'sign'; readonly sign: BadSign; readonly line: string }
  | { readonly kind: 'ended'; readonly how: string };

export interface FailureStory {
  readonly machine: string;
  /** The pattern, or what the harness was doing. */
  readonly awaited: string | undefined;
  readonly waitedMs: number;
  readonly cause: FailureCause;
  /** All lines so far; the last ones are shown. */
  readonly lines: readonly string[];
  readonly logPath: string | undefined;
  /** The emulator's command, ready to paste. */
  readonly command: string | undefined;
}

/** A guest that did not do what was awaited. */
export class MachineFailure extends Error {
  constructor(story: FailureStory) {
    // All of it is in the message; a property would be printed once more by whoever shows errors.
    super(tell(story));
    this.name = 'MachineFailure';
  }
}

function tell(story: FailureStory): string {
  const tail = story.lines.slice(-shownLines);
  const awaited = story.awaited === undefined ? '' : `waited for ${story.awaited} for ${roughDuration(story.waitedMs)}; `;
  return [
    `${story.machine}: ${awaited}${seen(story.cause)}`,
    tail.length === 0 ? '  the console said nothing' : `  last ${tail.length} of ${story.lines.length} console lines:`,
    ...tail.map((line) => `    | ${line}`),
    ...(story.logPath === undefined ? [] : [`  log: ${story.logPath}`]),
    ...(story.command === undefined ? [] : ['  to repeat it by hand:', story.command.replace(/^/gm, '    ')]),
  ].join('\n');
}

function seen(cause: FailureCause): string {
  switch (cause.kind) {
    case 'silence':
      return 'it did not come';
    case 'sign':
      return `saw ${JSON.stringify(cause.line)}\n  bad sign ${cause.sign.name}: ${cause.sign.means}`;
    case 'ended':
      return cause.how;
  }
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// `just diff`: named now, so that the word is taken; it needs a first release to compare with.
import { UserError } from '../errors.ts';
import type { Command } from './command.ts';

export const command: Command = {
  usage: '[OLD] [NEW]',
  help: 'Will compare two releases. It comes later: it needs a first release to compare with.',
  positionals: 2,
  run() {
    throw new UserError('`diff` comes later: it needs a first release to compare with', {
      code: 'cli/comes-later',
      hint: 'see docs/caveats for what this version does not do yet',
    });
  },
};

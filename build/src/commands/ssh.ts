// SPDX-License-Identifier: PMPL-1.0-or-later
// `just ssh`: named now, so that the word is taken; it needs the network server and a Linux cell that runs sshd.
import { UserError } from '../errors.ts';
import type { Command } from './command.ts';

export const command: Command = {
  usage: '',
  help: 'Will log in to a running node. It comes later: it needs the network server and a Linux cell that runs sshd.',
  positionals: 2,
  run() {
    throw new UserError('`ssh` comes later: it needs the network server and a Linux cell that runs sshd', {
      code: 'cli/comes-later',
      hint: 'see docs/caveats for what this version does not do yet',
    });
  },
};

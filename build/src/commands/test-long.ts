// SPDX-License-Identifier: PMPL-1.0-or-later
// `test-long`: the same as `test` with every sample instead of a few, such as all bits of a byte in each region of a slot.
// Read next: `test.ts`; the tests ask `support/samples.ts` how many they should take.
import type { Command } from './command.ts';
import { runTests, command as test } from './test.ts';

export const command: Command = {
  ...test,
  help: `Runs all tests with every sample instead of a few.\n\n${test.help.split('\n').slice(2).join('\n')}`,
  run: (context) => runTests(context, { long: true }),
};

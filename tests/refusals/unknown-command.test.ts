// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { orchestrate } from '../support/config.ts';

test.each([
  [['biuld-dev'], /no such command: biuld-dev \(did you mean `build-dev`\?\)/],
  [['plan', '--profil', 'prod'], /plan: Unknown option '--profil' \(did you mean `profile`\?\)/],
  [['plan', '--profile', 'test'], /there is no profile `test`/],
  [['why'], /why what\?/],
  [['why', 'kernal'], /no step makes `kernal`[\s\S]*did you mean `kernel`\?/],
  [['clean', 'all'], /clean: Unexpected argument 'all'/],
  [['ssh'], /`ssh` comes later/],
])('%j ends with 2 and says what was meant', async (args, message) => {
  const ended = await orchestrate(args);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toMatch(message);
  expect(ended.stderr).toMatch(/^ {2}do: {4}\S/m);
});

test('--help says the exit codes, and every verb has its own help', async () => {
  const { stdout, code } = await orchestrate(['--help']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/exit codes: 0 done, 1 our fault .*, 2 yours to mend .*, 130 interrupted/);
  expect((await orchestrate(['plan', '--help'])).stdout).toMatch(/^plan \[--profile dev\|prod\]\n\nPrints every step/);
});

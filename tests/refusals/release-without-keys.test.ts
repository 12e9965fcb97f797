// SPDX-License-Identifier: PMPL-1.0-or-later
// As a person meets it: on the command line, with its exit code, before anything is built.
import { expect, test } from 'vitest';
import { exitCodes, repositoryRoot, run } from '../../build/src/testing.ts';

test('a release without keys of its own is refused before anything is built', async () => {
  const cwd = repositoryRoot();
  const ended = await run(process.execPath, ['--import', 'tsx', 'build/src/run.ts', 'build-prod', '--release'], {
    cwd,
    ok: 'any',
  });
  expect(ended.code, ended.stderr).toBe(exitCodes.yours);
  expect(ended.stderr).toContain(
    'error[keys/release-needs-keys]: keys: a release needs keys of its own, but the configuration names none',
  );
  expect(ended.stderr).toMatch(/where: configs\/update\.ncl/u);
  expect(ended.stderr).toMatch(/do: {4}set commit_key/u);
  expect(ended.stderr).not.toMatch(/^ {4}at /mu);
});

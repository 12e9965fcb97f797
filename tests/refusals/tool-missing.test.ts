// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { orchestrate } from '../support/config.ts';

test('a program that is not installed ends with 2 and names its package', async () => {
  const ended = await orchestrate(['graph'], { PATH: '/nowhere' });
  expect(ended.code).toBe(2);
  expect(ended.stderr).toMatch(
    /error\[machine\/program-missing\]: the program `dot` is not installed[\s\S]*the package graphviz/,
  );
  expect(ended.stderr).not.toMatch(/^ {4}at /m);
});

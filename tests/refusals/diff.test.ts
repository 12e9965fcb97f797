// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { orchestrate } from '../support/config.ts';

test('one image alone is refused: there is nothing to compare with', async () => {
  const ended = await orchestrate(['diff', 'out/dev']);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toMatch(/error\[diff\/images\]: `diff` compares two images/);
});

test('an image that is not there is refused with its path', async () => {
  const ended = await orchestrate(['diff', '/nowhere/old.raw', '/nowhere/new.raw']);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toMatch(/error\[image\/missing\]: there is no image at \/nowhere\/old\.raw/);
});

test('a slot that no image has is refused', async () => {
  const ended = await orchestrate(['diff', 'a', 'b', '--slot', 'C']);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toMatch(/--slot C is not one of A, B/);
});

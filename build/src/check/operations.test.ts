// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { differences } from './operations.ts';

test.each([
  ['a line that changed', 'a\nb\n', 'a\nc\n', 2],
  ['a line too few', 'a\n', 'a\nb\n', 2],
  ['a line too many', 'a\nb\nc\n', 'a\nb\n', 3],
  ['no page at all', '', 'a\n', 1],
])('a stale page is refused: %s', (_, found, wanted, line) => {
  expect(differences(found, wanted)).toEqual([expect.stringContaining(`operations.adoc:${line} `)]);
});

test('the same page is let through', () => {
  expect(differences('a\nb\n', 'a\nb\n')).toEqual([]);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { nearest } from './near.ts';

test.each([
  ['alfa', 'alpha'],
  ['timer_slise', 'timer_slice'],
  ['biuld-dev', 'build-dev'],
  ['dna', 'dma'],
])('%s was meant to be %s', (word, meant) => {
  expect(nearest(word, ['alpha', 'beta', 'timer_slice', 'build-dev', 'dma', 'x'])).toBe(meant);
});

test('what is far from everything has no near name', () => {
  expect(nearest('kernel', ['beta', 'stable'])).toBeUndefined();
});

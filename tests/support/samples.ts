// SPDX-License-Identifier: PMPL-1.0-or-later
// How many cases of a kind a test takes: a spread few in `just test`, every one in `just test-long`.

/** Whether every sample is wanted. */
export const long = process.env.FLATRACOON_TEST_LONG === '1';

/** `few` of them, first and last included, evenly spread; all of them in a long run. */
export function samples<Case>(cases: readonly Case[], few: number): Case[] {
  if (long || cases.length <= few) return [...cases];
  if (few === 1) return cases.slice(-1);
  return Array.from({ length: few }, (_, index) => cases[Math.round((index * (cases.length - 1)) / (few - 1))]!);
}

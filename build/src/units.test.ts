// SPDX-License-Identifier: PMPL-1.0-or-later
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatSize, parseDurationUs, parseSize, roughDuration, roughSize } from './units.ts';

test('every whole number of bytes survives printing and parsing', () => {
  fc.assert(fc.property(fc.nat(), (bytes) => parseSize(formatSize(bytes)) === bytes));
});

test.each(['4096', '4 KiB', '4KB', '1.5MiB', '-1MiB', '01MiB', '', 'MiB', '1mib', '9999999TiB'])('%j is no size', (text) => {
  expect(parseSize(text)).toBeUndefined();
});

test.each(['200', '0.2s', '1sec', '-5s', '1 s', ''])('%j is no duration', (text) => {
  expect(parseDurationUs(text)).toBeUndefined();
});

test('sizes and durations are exact', () => {
  expect([parseSize('0B'), parseSize('512MiB'), parseSize('2TiB')]).toEqual([0, 2 ** 29, 2 ** 41]);
  expect([parseDurationUs('1us'), parseDurationUs('200ms'), parseDurationUs('2min')]).toEqual([1, 200_000, 120_000_000]);
  expect([roughSize(1536), roughDuration(850), roughDuration(185_000)]).toEqual(['1.5 KiB', '850 ms', '3 min 05 s']);
});

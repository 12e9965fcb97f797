// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { exitCodeOf, formatError, InternalError, Interrupted, throwAll, UserError } from './errors.ts';

const mistake = new UserError('max_cpus: found 0', {
  code: 'config/wrong-value',
  where: 'configs/kernel.ncl:6, field max_cpus',
  hint: 'use 1 to 64',
});

test('their mistake has place and advice, no stack, and exit code 2', () => {
  expect(formatError(mistake)).toMatchInlineSnapshot(`
    "error[config/wrong-value]: max_cpus: found 0
      where: configs/kernel.ncl:6, field max_cpus
      do:    use 1 to 64"
  `);
  expect(exitCodeOf(mistake)).toBe(2);
});

test('our fault has a stack and exit code 1, an interrupt neither and 130', () => {
  expect(formatError(new InternalError('a bug', { log: '/l' }))).toMatch(
    /fault of the orchestrator: a bug\n {2}log: \/l\nInternalError[\s\S]*errors\.test\.ts/,
  );
  expect([exitCodeOf(new Error('x')), exitCodeOf('thrown text'), exitCodeOf(new Interrupted())]).toEqual([1, 1, 130]);
  expect(formatError(new Interrupted())).not.toContain('at ');
});

test('several mistakes are counted and all are shown', () => {
  const all = () => throwAll([mistake, new UserError('second', { code: 'x/y' })]);
  expect(all).toThrow('2 mistakes');
  try {
    all();
  } catch (error) {
    expect(formatError(error)).toMatch(/max_cpus[\s\S]*second[\s\S]*2 mistakes; nothing was built\./);
  }
  expect(() => throwAll([])).not.toThrow();
});

test.each(['ENOSPC', 'EDQUOT'])('%s is a full disk, which is theirs to mend', (code) => {
  const error = Object.assign(new Error('write'), { code, path: '/out/x' });
  expect(exitCodeOf(error)).toBe(2);
  expect(formatError(error)).toMatch(
    /error\[machine\/disk-full\]: the disk is full\n {2}where: \/out\/x\n {2}do: {4}free some space/,
  );
});

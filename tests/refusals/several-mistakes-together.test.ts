// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { refusal } from '../support/config.ts';

test('mistakes in several files and several in one file are shown together', async () => {
  const found = await refusal(
    { file: 'configs/kernel.ncl', old: 'max_cpus = 64', new: 'max_cpus = 0' },
    { file: 'configs/kernel.ncl', old: 'reserve = "1MiB"', new: 'reserve = "1MB"' },
    { file: 'configs/kernel.ncl', old: 'timer_slice =', new: 'timer_slise =' },
    { file: 'configs/update.ncl', old: 'tries = 2', new: 'tries = 99' },
    { file: 'images/partitions/90-data.ncl', old: 'content = "empty"', new: 'content = "emty"' },
  );
  for (const field of ['max_cpus', 'reserve', 'timer_slise', 'tries', 'content'])
    expect(found.text).toMatch(new RegExp(`field ${field}$`, 'm'));
  expect(found.text).toMatch(/5 mistakes; nothing was built\.$/);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a number beyond its range is refused', async () => {
  const found = await refusal({ file: 'configs/kernel.ncl', old: 'max_cpus = 64', new: 'max_cpus = 65' });
  expectOne(found, 'config/wrong-value', /kernel\.ncl:\d+, field max_cpus$/, /found 65; allowed is a whole number from 1 to 64/);
});

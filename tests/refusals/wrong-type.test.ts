// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a text where a number belongs is refused with what was found and what is allowed', async () => {
  const found = await refusal({ file: 'configs/kernel.ncl', old: 'max_cpus = 64', new: 'max_cpus = "many"' });
  expectOne(
    found,
    'config/wrong-value',
    /^configs\/kernel\.ncl:\d+, field max_cpus$/,
    /^max_cpus: found "many"; allowed is a whole number from 1 to 64$/,
  );
});

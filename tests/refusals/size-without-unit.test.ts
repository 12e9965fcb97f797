// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a size without a unit is refused', async () => {
  const found = await refusal({ file: 'configs/kernel.ncl', old: 'reserve = "1MiB"', new: 'reserve = 1048576' });
  expectOne(found, 'config/wrong-value', /kernel\.ncl:\d+, field reserve$/, /found 1048576; allowed is a size with its unit/);
});

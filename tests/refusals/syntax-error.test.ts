// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a file that does not parse is refused with its line', async () => {
  const found = await refusal({ file: 'configs/kernel.ncl', old: 'max_cpus = 64,', new: 'max_cpus = = 64,' });
  expectOne(found, 'config/syntax', /^configs\/kernel\.ncl:\d+/, /unexpected token/);
});

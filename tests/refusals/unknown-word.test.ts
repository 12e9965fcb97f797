// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a name that nobody defined is refused', async () => {
  const found = await refusal({ file: 'configs/kernel.ncl', old: 'reserve = "1MiB"', new: 'reserve = megabyte' });
  expectOne(found, 'config/unknown-name', /kernel\.ncl:\d+, field reserve$/, /unbound identifier `megabyte`/);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('budgets that do not fit the smallest machine are refused', async () => {
  const found = await refusal({ file: 'configs/servers.ncl', old: 'memory = "64MiB"', new: 'memory = "256MiB"' });
  expectOne(
    found,
    'manifest/over-budget',
    /servers\.ncl:\d+, field components\.storage\.memory$/,
    /the smallest machine \(256MiB\)/,
  );
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a grant without a because is refused', async () => {
  const found = await refusal({ file: 'configs/servers.ncl', old: ', because = "COM1 says here that a byte came"', new: '' });
  expectOne(
    found,
    'config/missing-field',
    /servers\.ncl:\d+, field components\.uart\.interrupts\.0\.because$/,
    /because: missing/,
  );
});

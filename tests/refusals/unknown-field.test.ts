// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('an unknown field is refused, with the near name', async () => {
  const found = await refusal({ file: 'configs/kernel.ncl', old: 'timer_slice =', new: 'timer_slise =' });
  expectOne(
    found,
    'config/unknown-field',
    /kernel\.ncl:\d+, field timer_slise$/,
    /there is no such field \(did you mean `timer_slice`\?\)/,
  );
});

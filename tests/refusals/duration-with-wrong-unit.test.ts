// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a duration with a unit that does not exist is refused', async () => {
  const found = await refusal({ file: 'configs/update.ncl', old: 'confirm_within = "60s"', new: 'confirm_within = "60sec"' });
  expectOne(found, 'config/wrong-value', /update\.ncl:\d+, field confirm_within$/, /found "60sec"; allowed is a duration/);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('debug facilities in production are refused', async () => {
  const found = await refusal({ file: 'configs/kernel.ncl', old: 'debug = false', new: 'debug = true' });
  expectOne(found, 'config/debug-in-production', /kernel\.ncl:\d+, field profiles\.prod\.debug$/, /no debug system calls/);
});

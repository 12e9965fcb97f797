// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('an unknown channel is refused, with the near name', async () => {
  const found = await refusal({ file: 'configs/update.ncl', old: 'channel = "alpha"', new: 'channel = "alfa"' });
  expectOne(
    found,
    'config/wrong-value',
    /update\.ncl:\d+, field channel$/,
    /found "alfa"; allowed is one of "stable", "beta", "alpha" \(did you mean `alpha`\?\)/,
  );
});

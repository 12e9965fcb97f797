// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('two partitions with one name are refused', async () => {
  const found = await refusal({ file: 'images/partitions/30-root-b.ncl', old: 'label = "ROOT-B"', new: 'label = "ROOT-A"' });
  expectOne(found, 'image/duplicate-label', /images\/partitions\/30-root-b\.ncl:\d+, field label$/, /same label ROOT-A/);
});

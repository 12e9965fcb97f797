// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('two partitions with one GUID are refused', async () => {
  const guid = 'guid = "11111111-2222-4333-8444-555555555555", size =';
  const found = await refusal(
    { file: 'images/partitions/10-esp.ncl', old: 'size =', new: guid },
    { file: 'images/partitions/90-data.ncl', old: 'size =', new: guid },
  );
  expectOne(
    found,
    'image/duplicate-guid',
    /^images\/partitions\/90-data\.ncl:\d+, field guid$/,
    /data and esp have the same guid/,
  );
});

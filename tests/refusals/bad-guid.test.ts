// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a GUID that is none is refused', async () => {
  const found = await refusal({
    file: 'images/partitions/90-data.ncl',
    old: 'type = "0fc63daf-8483-4772-8e79-3d69d8477de4"',
    new: 'type = "0FC63DAF"',
  });
  expectOne(found, 'config/wrong-value', /90-data\.ncl:\d+, field type$/, /allowed is a GUID/);
});

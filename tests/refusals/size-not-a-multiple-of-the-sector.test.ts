// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a partition size that is not a multiple of the sector is refused', async () => {
  const found = await refusal({ file: 'images/partitions/90-data.ncl', old: 'size = "64MiB"', new: 'size = "1000B"' });
  expectOne(
    found,
    'image/size-not-sectors',
    /images\/partitions\/90-data\.ncl:\d+, field size$/,
    /1000 bytes, which is not a multiple of the 512-byte sector/,
  );
});

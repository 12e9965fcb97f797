// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('partitions that overlap are refused', async () => {
  const found = await refusal({
    file: 'images/partitions/30-root-b.ncl',
    old: 'size = "128MiB"',
    new: 'size = "128MiB", start = "100MiB"',
  });
  expectOne(found, 'image/overlap', /^image/, /overlaps/);
});

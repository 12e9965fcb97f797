// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('an unknown field deep in a component is refused, with its path', async () => {
  const found = await refusal({ file: 'configs/servers.ncl', old: 'dma = "1MiB"', new: 'dna = "1MiB"' });
  expectOne(
    found,
    'config/unknown-field',
    /servers\.ncl:\d+, field components\.virtio-blk\.dna$/,
    /no such field \(did you mean `dma`\?\)/,
  );
});

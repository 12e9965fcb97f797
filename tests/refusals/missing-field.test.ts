// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a component without its memory is refused', async () => {
  const found = await refusal({
    file: 'configs/servers.ncl',
    old: 'program = "uart",\n      memory = "1MiB",',
    new: 'program = "uart",',
  });
  expectOne(
    found,
    'config/missing-field',
    /servers\.ncl:\d+, field components\.uart\.memory$/,
    /components\.uart\.memory: missing/,
  );
});

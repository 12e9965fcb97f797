// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('an interface that two components serve is refused', async () => {
  const found = await refusal({
    file: 'configs/servers.ncl',
    old: 'program = "update",',
    new: 'program = "update", serves = ["log"],',
  });
  expectOne(found, 'manifest/two-servers', /field components\.update\.serves\.0$/, /`log` is served by uart already/);
});

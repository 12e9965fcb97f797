// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('nobody but the process server serves `supervisor`', async () => {
  const found = await refusal({
    file: 'configs/servers.ncl',
    old: 'program = "update",',
    new: 'program = "update", serves = ["supervisor"],',
  });
  expectOne(found, 'manifest/two-servers', /field components\.update\.serves\.0$/, /`supervisor` is served by process already/);
});

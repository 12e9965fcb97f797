// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('two servers that own one device are refused', async () => {
  const found = await refusal({
    file: 'configs/servers.ncl',
    old: 'program = "update",',
    new: 'program = "update",\n      io_ports = [{ first = 0x3f8, last = 0x3f8, because = "wants to print by itself" }],',
  });
  expectOne(
    found,
    'manifest/two-owners',
    /servers\.ncl:\d+, field components\.update\.io_ports\.0$/,
    /ports 0x03f8-0x03f8 belongs to uart already/,
  );
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a because of one word is refused', async () => {
  const found = await refusal({
    file: 'configs/servers.ncl',
    old: 'because = "the registers of COM1"',
    new: 'because = "needed"',
  });
  expectOne(found, 'config/wrong-value', /field components\.uart\.io_ports\.0\.because$/, /found "needed"; allowed is a reason/);
});

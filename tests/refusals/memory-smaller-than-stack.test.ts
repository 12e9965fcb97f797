// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a component whose stack fills its memory is refused', async () => {
  const found = await refusal({ file: 'configs/servers.ncl', old: 'memory = "2MiB"', new: 'memory = "64KiB"' });
  expectOne(found, 'manifest/memory-too-small', /field components\.update\.memory$/, /64KiB holds no more/);
});

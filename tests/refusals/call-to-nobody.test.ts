// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a call to an interface that nobody serves is refused, with the near name', async () => {
  const found = await refusal({ file: 'configs/servers.ncl', old: 'interface = "block"', new: 'interface = "blok"' });
  expectOne(
    found,
    'manifest/nobody-serves',
    /servers\.ncl:\d+, field components\.storage\.calls\.1\.interface$/,
    /nobody serves `blok`/,
  );
});

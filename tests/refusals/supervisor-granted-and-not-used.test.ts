// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a grant of `supervisor` is accepted as one of the process server, and refused where the program does not link it', async () => {
  const found = await refusal({
    file: 'configs/servers.ncl',
    old: '{ interface = "slot", because',
    new: '{ interface = "supervisor", because = "would end others" },\n        { interface = "slot", because',
  });
  expectOne(
    found,
    'manifest/unused-grant',
    /field components\.update\.calls\.1\.interface$|calls\.1$/,
    /`supervisor` is granted, but/,
  );
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

const file = 'configs/servers.ncl';

test('a program that links an interface which nobody grants is refused', async () => {
  const call = '        { interface = "slot", because = "marks the slot that runs as good" },\n';
  const found = await refusal({ file, old: call, new: '' });
  expectOne(
    found,
    'manifest/link-without-grant',
    /servers\.ncl:\d+, field components\.update\.calls$/,
    /components\.update: its Cargo\.toml links api-slot, but nothing grants `slot`/,
  );
});

test('a grant to a program that links no interface at all is refused', async () => {
  const call = 'calls = [{ interface = "log", because = "says that a program of the verity root runs" }]';
  const more = 'calls = [{ interface = "block", because = "wants the whole disk" }]';
  const found = await refusal({ file, old: call, new: more });
  expectOne(
    found,
    'manifest/unused-grant',
    /field components\.hello\.calls\.0$/,
    /`block` is granted, but its Cargo\.toml links no api-block/,
  );
});

test('an interface that a component is to serve and does not link is refused', async () => {
  const found = await refusal({ file, old: 'serves = ["time"]', new: 'serves = ["time", "calendar"]' });
  expectOne(
    found,
    'manifest/served-without-link',
    /field components\.rtc\.serves/,
    /`calendar` is to be served, but its Cargo\.toml links no api-calendar/,
  );
});

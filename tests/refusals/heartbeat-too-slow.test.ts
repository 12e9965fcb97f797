// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a heartbeat with which a hang would be found too late is refused', async () => {
  const found = await refusal({
    file: 'configs/servers.ncl',
    old: 'health = { ready_within = "20s" }',
    new: 'health = { ready_within = "20s", heartbeat = "1s" }',
  });
  expectOne(found, 'manifest/heartbeat', /servers\.ncl.*heartbeat/, /storage: a heartbeat of 1000 ms/);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a cycle of calls is refused with its path', async () => {
  const found = await refusal({ file: 'configs/servers.ncl', old: 'serves = ["log"],', new: 'serves = ["log"], calls = [{ interface = "block", because = "keeps the log on disk" }],' });
  expectOne(found, 'manifest/cycle', /servers\.ncl:\d+, field components\./, /uart -\(block\)-> virtio-blk -\(log\)-> uart/);
});

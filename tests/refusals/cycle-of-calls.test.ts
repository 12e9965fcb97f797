// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { refusal } from '../support/config.ts';

test('a cycle of calls is refused with its path', async () => {
  const calls = 'serves = ["log"], calls = [{ interface = "block", because = "keeps the log on disk" }],';
  const found = await refusal({ file: 'configs/servers.ncl', old: 'serves = ["log"],', new: calls });
  expect(found.codes).toContain('manifest/cycle');
  expect(found.text).toMatch(/a cycle of calls: uart -\(block\)-> virtio-blk -\(log\)-> uart/);
  expect(found.text).toMatch(/configs\/servers\.ncl:\d+, field components\.uart\.calls/);
});

test('a grant that the program does not link is refused', async () => {
  const calls = 'serves = ["log"], calls = [{ interface = "process", because = "wants to know who runs" }],';
  const found = await refusal({ file: 'configs/servers.ncl', old: 'serves = ["log"],', new: calls });
  expect(found.text).toMatch(/components\.uart\.calls: `process` is granted, but its Cargo\.toml links no api-process/);
});

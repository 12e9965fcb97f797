// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('DMA memory without a device is refused', async () => {
  const found = await refusal({
    file: 'configs/servers.ncl',
    old: 'program = "hello",',
    new: 'program = "hello", dma = "64KiB",',
  });
  expectOne(found, 'manifest/dma-without-device', /field components\.hello\.dma$/, /has no device/);
});

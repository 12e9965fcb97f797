// SPDX-License-Identifier: PMPL-1.0-or-later

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'vitest';
import { Digests } from '../../build/src/testing.ts';
import { expectOne, refused } from '../support/config.ts';

test('a file of the base that cannot be read is refused by name', async () => {
  const digests = await Digests.open(join(tmpdir(), 'no-digests.json'));
  // Even root cannot read this one: its first page is nobody's memory.
  const found = await refused(digests.ofFile('/proc/self/mem'));
  expectOne(found, 'build/unreadable-input', /^\/proc\/self\/mem$/, /cannot read \/proc\/self\/mem: EIO/);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

test('a component whose program does not exist is refused', async () => {
  const found = await refusal({ file: 'configs/servers.ncl', old: 'program = "hello"', new: 'program = "hallo"' });
  expectOne(found, 'manifest/unknown-program', /field components\.hello\.program$/, /no package `hallo`/);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

const file = 'configs/base.ncl';

test('a profile with a group of packages that does not exist is refused', async () => {
  const found = await refusal({ file, old: 'dev = ["core"]', new: 'dev = ["cor"]' });
  expectOne(found, 'base/unknown-group', /base\.ncl:\d+, field profiles\.dev$/, /no group of packages `cor`/);
});

test('a variant with a group of packages that does not exist is refused', async () => {
  const found = await refusal({ file: 'images/variants/linux-tests.ncl', old: '["tests"]', new: '["test"]' });
  expectOne(found, 'base/unknown-group', /linux-tests\.ncl:\d+, field base$/, /no group of packages `test`/);
});

test('a package in two groups is refused', async () => {
  const found = await refusal({ file, old: '"sqlite3",', new: '"sqlite3", "bash",' });
  expectOne(found, 'base/package-twice', /field groups\.tests\.packages/, /`bash` stands in groups\.core already/);
});

test('two users of one number are refused', async () => {
  const found = await refusal({ file, old: 'id = 102', new: 'id = 101' });
  expectOne(
    found,
    'base/two-users',
    /field groups\.tests\.users/,
    /`sshd` has the number 101, which groups\.tests gives to `redis`/,
  );
});

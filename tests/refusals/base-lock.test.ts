// SPDX-License-Identifier: PMPL-1.0-or-later
// A build takes exactly what is locked, or nothing.
import { test } from 'vitest';
import { prepareBuild } from '../../build/src/testing.ts';
import { type Change, expectOne, refused, withChanges } from '../support/config.ts';
import { root } from '../support/root.ts';

const lock = 'configs/base.lock.json';
const signal = new AbortController().signal;
const build = (...changes: readonly Change[]) =>
  withChanges(changes, (from) => refused(prepareBuild({ root, profile: 'dev', release: false, signal, from })));

test('a package that was added without locking it is refused before anything is built', async () => {
  const found = await build({ file: 'configs/base.ncl', old: '"bash",', new: '"bash", "zsh",' });
  expectOne(found, 'base/lock-stale', /base\.lock\.json$/, /other packages than the lock answers/);
});

test('a damaged lock is refused', async () => {
  const found = await build({ file: lock, old: '"request"', new: '"reqest"' });
  expectOne(found, 'base/lock-invalid', /base\.lock\.json$/, /damaged/);
});

test('a lock with a digest that is none is refused', async () => {
  const found = await build({ file: lock, old: '"sha256":"', new: '"sha256":"../../' });
  expectOne(found, 'base/lock-invalid', /base\.lock\.json$/, /sha256/);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { prepareBuild, repositoryRoot } from '../../build/src/testing.ts';
import { expectOne, refused, withChanges } from '../support/config.ts';
import { productionKeys } from '../support/keys.ts';

const root = repositoryRoot();
const signal = new AbortController().signal;

test('a commit key whose time is over is refused with that time', async () => {
  const keys = await productionKeys();
  const expired = {
    ...keys.change,
    new: keys.change.new.replace('signing = {', 'signing = { commit_key_not_after = "2020-01-01T00:00:00Z",'),
  };
  const found = await withChanges([expired], (from) =>
    refused(prepareBuild({ root, from, profile: 'prod', release: true, signal })),
  );
  await keys.remove();
  expectOne(found, 'keys/expired', /configs\/update\.ncl.*commit_key_not_after/, /expired on 2020-01-01/);
});

test('keys that are good are taken, and the build is not unreleased', async () => {
  const keys = await productionKeys();
  const build = await withChanges([keys.change], (from) => prepareBuild({ root, from, profile: 'prod', release: true, signal }));
  await keys.remove();
  expect(build.keys.unreleased).toBe(false);
  expect(build.version).not.toContain('unreleased');
});

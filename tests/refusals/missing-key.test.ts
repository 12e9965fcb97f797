// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { prepareBuild, repositoryRoot } from '../../build/src/testing.ts';
import { expectOne, refused, withChanges } from '../support/config.ts';
import { productionKeys } from '../support/keys.ts';

const root = repositoryRoot();
const signal = new AbortController().signal;

test('a key file that is not there is refused with the field that names it', async () => {
  const keys = await productionKeys();
  const missing = { ...keys.change, new: keys.change.new.replace(/commit_key = "[^"]*"/, 'commit_key = "/no/such/commit.key"') };
  const found = await withChanges([missing], (from) =>
    refused(prepareBuild({ root, from, profile: 'prod', release: true, signal })),
  );
  await keys.remove();
  expectOne(found, 'keys/missing', /configs\/update\.ncl.*commit_key/, /\/no\/such\/commit\.key/);
});

test('some keys without the others are refused', async () => {
  const change = {
    file: 'configs/update.ncl',
    old: 'rollback_index = 1,',
    new: 'rollback_index = 1, signing = { commit_key = "/x" },',
  };
  const found = await withChanges([change], (from) =>
    refused(prepareBuild({ root, from, profile: 'prod', release: false, signal })),
  );
  expectOne(found, 'keys/partly-configured', /configs\/update\.ncl/, /not loader_key and loader_certificate/);
});

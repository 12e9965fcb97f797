// SPDX-License-Identifier: PMPL-1.0-or-later
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { moduleManifest } from '../commands/manifest.ts';
import { repositoryRoot } from '../paths.ts';
import { checkModule, layers } from './module.ts';

const root = repositoryRoot();

test('the module manifest satisfies its contract and what the stack requires', async () => {
  const manifest = await moduleManifest(root);
  expect(manifest).toMatchObject({
    name: 'flatracoon-os',
    layer: 'platform',
    provides: ['immutable-os', 'microkernel', 'container-runtime'],
    config_schema: 'configs/schema.ncl',
    endpoints: { health: 'n/a', metrics: 'n/a' },
  });
  expect(existsSync(join(root, String(manifest.config_schema)))).toBe(true);
});

test('the contract knows the same layers as the check', () => {
  const contract = readFileSync(join(root, 'configs/contracts/module.ncl'), 'utf8');
  const listed = /layer \| one_of \[([^\]]*)\]/
    .exec(contract)?.[1]
    ?.match(/"[^"]+"/g)
    ?.map((word) => word.slice(1, -1));
  expect(listed).toEqual([...layers]);
});

test('a manifest without a required field, of another version or of no layer is refused by name', async () => {
  const good = await moduleManifest(root);
  const { namespace: _, ...without } = good;
  expect(checkModule(without, String(good.version))).toEqual(['namespace is missing or no text']);
  expect(checkModule(good, '9.9.9').join()).toContain('found "0.1.0", but package.json says "9.9.9"');
  expect(checkModule({ ...good, layer: 'cloud' }, String(good.version)).join()).toContain('layer: found "cloud"');
  expect(checkModule([], '1')).toEqual(['the manifest is no record']);
});

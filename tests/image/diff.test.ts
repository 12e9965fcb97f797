// SPDX-License-Identifier: PMPL-1.0-or-later
// `diff` on the images that `just test` has built.
import { expect, test } from 'vitest';
import { artifactsOf } from '../../build/src/testing.ts';
import { orchestrate } from '../support/config.ts';
import { root } from '../support/root.ts';

const [dev, prod] = [artifactsOf(root, 'dev').folder, artifactsOf(root, 'prod').folder];

test('an image differs from itself in nothing, as raw and as qcow2', async () => {
  const ended = await orchestrate(['diff', dev, `${dev}/flatracoon-os.qcow2`, '--gate', '--json']);
  expect(ended.code, ended.stderr).toBe(0);
  expect(JSON.parse(ended.stdout)).toMatchObject({ event: 'diff', more: 0, authority: [], files: [] });
});

test('the production image differs from that of development in its kernel and programs, and nobody may do more', async () => {
  const ended = await orchestrate(['diff', dev, prod, '--gate', '--json']);
  expect(ended.code, ended.stderr).toBe(0);
  const said = JSON.parse(ended.stdout) as {
    authority: { who: string; what: string }[];
    files: { path: string; what: string[] }[];
  };
  expect(said).toMatchObject({ old: { profile: 'dev' }, new: { profile: 'prod' }, more: 0 });
  expect(said.authority).toContainEqual(expect.objectContaining({ who: 'kernel', what: 'log_level' }));
  expect(said.files).toContainEqual(expect.objectContaining({ path: '/boot/kernel.elf', what: ['content'] }));
});

test('a person reads who may do more', async () => {
  const ended = await orchestrate(['diff', dev, prod]);
  expect(ended.stdout).toMatch(/^old +\S+ +dev +1 /m);
  expect(ended.stdout).toMatch(/^changed +\/boot\/bundle\.frb +content$/m);
  expect(ended.stdout).toMatch(/^may do more than before: nobody$/m);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// Keys for a production build, made in a temporary folder, and the change of configs/update.ncl that names them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { developmentKeys } from '../../build/src/testing.ts';
import type { Change } from './config.ts';

export interface ProductionKeys {
  readonly change: Change;
  remove(): Promise<void>;
}

/** Made as development keys are; what makes them production keys is that the configuration names them. */
export async function productionKeys(): Promise<ProductionKeys> {
  const folder = await mkdtemp(join(tmpdir(), 'keys-'));
  const files = await developmentKeys(join(folder, 'keys'));
  const { key, certificate } = files.loader;
  const signing = `signing = { commit_key = "${files.ostree}", loader_key = "${key}", loader_certificate = "${certificate}" },`;
  return {
    change: { file: 'configs/update.ncl', old: 'rollback_index = 1,', new: `rollback_index = 1, ${signing}` },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

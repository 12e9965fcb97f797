// SPDX-License-Identifier: PMPL-1.0-or-later
// The checks of `just check`, in order: quick ones first.
import { moduleManifest } from '../commands/manifest.ts';
import { loadConfig } from '../config/load.ts';
import { checkBoundaries } from './boundaries.ts';
import { type Check, type CheckContext, type Outcome, outcome } from './check.ts';
import { checkLicences } from './licences.ts';
import { operations } from './operations.ts';
import { biome, clippy, rustFormat, types } from './tools.ts';
import { checkUnsafe, counts } from './unsafe.ts';

/** They throw what they refuse. */
const nothingFound = () => outcome([]);

async function unsafe({ root }: CheckContext): Promise<Outcome> {
  const { findings, note } = await counts(root);
  return outcome([...(await checkUnsafe(root)), ...findings], note);
}

export const checks: readonly Check[] = [
  { name: 'configuration', run: ({ root, signal }) => loadConfig(root, { signal }).then(nothingFound) },
  { name: 'module-manifest', run: ({ root, signal }) => moduleManifest(root, signal).then(nothingFound) },
  { name: 'licences', run: async ({ root }) => outcome(await checkLicences(root)) },
  { name: 'imports', run: async ({ root }) => outcome(await checkBoundaries(root)) },
  { name: 'unsafe', run: unsafe },
  { name: 'types', run: types },
  { name: 'biome', run: biome },
  { name: 'rust-format', run: rustFormat },
  { name: 'operations-page', run: operations },
  { name: 'clippy', run: clippy },
];

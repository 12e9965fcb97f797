// SPDX-License-Identifier: PMPL-1.0-or-later
// Where the repository is.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InternalError } from './errors.ts';

/** The nearest folder above this file that holds the Justfile: works from build/src and from build/dist. */
export function repositoryRoot(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); dirname(at) !== at; at = dirname(at)) {
    if (existsSync(join(at, 'Justfile'))) return at;
  }
  throw new InternalError('no Justfile above the orchestrator: it must run from its repository');
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// What `build-dev` and `build-prod` share: prepare, apply, say what came of it.
import { join, relative } from 'node:path';
import type { Profile } from '../config/types.ts';
import { applySteps } from '../engine/apply.ts';
import { type Build, engineOptions, prepareBuild } from '../steps/build.ts';
import { allSteps } from '../steps/index.ts';
import { requireTools } from '../toolchain/requirements.ts';
import { roughDuration } from '../units.ts';
import type { CommandContext } from './command.ts';

export interface Wishes {
  /** Refuse development keys. */
  readonly release?: boolean;
  readonly variant?: string | undefined;
}

export async function buildImage(context: CommandContext, profile: Profile, wishes: Wishes = {}): Promise<Build> {
  const { root, log, signal } = context;
  const started = performance.now();
  const variant = wishes.variant === undefined ? {} : { variant: wishes.variant };
  await requireTools('build');
  const build = await prepareBuild({ root, profile, release: wishes.release ?? false, signal, ...variant });
  if (build.keys.made) log.info('made development keys for you; `just keys` says where');
  const { ran } = await applySteps(engineOptions(build, log, signal), allSteps(build));
  const took = roughDuration(performance.now() - started);
  const image = relative(process.cwd(), join(build.outDir, 'flatracoon-os.raw'));
  const unreleased = build.keys.unreleased ? ', unreleased: signed with development keys' : '';
  const done = ran.length === 0 ? 'nothing to do' : `${ran.length} steps`;
  log.info(`${image}: ${build.version}${unreleased} (${done}, ${took})`);
  log.event('built', {
    profile,
    version: build.version,
    image: join(build.outDir, 'flatracoon-os.raw'),
    unreleased: build.keys.unreleased,
    ran,
  });
  return build;
}

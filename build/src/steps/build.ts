// SPDX-License-Identifier: PMPL-1.0-or-later
// What every step of one build knows: profile, configuration, version, keys, tools. Made once, by `prepareBuild`.
// Nothing is written here but the user's development keys, if there are none. Read next: `index.ts`, the steps in their order.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Lock, readLock } from '../base/lock.ts';
import { loadConfig } from '../config/load.ts';
import type { Config, Profile, Variant } from '../config/types.ts';
import type { EngineOptions } from '../engine/types.ts';
import { UserError } from '../errors.ts';
import type { ResolvedPartition } from '../image/plan.ts';
import { type SigningKeys, signingKeys } from '../keys/index.ts';
import type { Log } from '../log.ts';
import { didYouMean } from '../near.ts';
import { sourceOf } from '../toolchain/git.ts';
import { type RustToolchain, rustToolchain } from '../toolchain/host.ts';

const usual = 'qemu';

export interface Build {
  readonly root: string;
  readonly profile: Profile;
  /** `out/<profile>` */
  readonly outDir: string;
  /** `out/<profile>/.build`: what is between source and artifact. */
  readonly workDir: string;
  /** `out/.cargo`: compiled Rust, shared by the profiles. */
  readonly cargoDir: string;
  /** `out/.cache`: packages and what was unpacked of them, by digest, shared by the profiles. */
  readonly cacheDir: string;
  readonly config: Config;
  readonly lock: Lock;
  readonly variant: Variant;
  readonly version: string;
  /** A git commit, `+` behind it when the tree differs; `unknown` outside a repository. */
  readonly source: string;
  readonly sourceDateEpoch: number;
  readonly keys: SigningKeys;
  readonly rust: RustToolchain;
}

export interface BuildRequest {
  readonly root: string;
  readonly profile: Profile;
  /** Refuse development keys. */
  readonly release: boolean;
  /** `qemu` when absent. Another one builds into `out/<profile>-<variant>`. */
  readonly variant?: string;
  readonly signal: AbortSignal;
  /** Where `configs/` and `images/` stand, if not in the root: for tests of a changed copy. */
  readonly from?: string;
}

/** Errors: those of the configuration, the keys and the toolchain; all before anything is built. */
export async function prepareBuild(request: BuildRequest): Promise<Build> {
  const { root, profile, release, signal, from = root } = request;
  const [config, source, base] = await Promise.all([loadConfig(root, { from, signal }), sourceOf(root), baseVersion(root)]);
  const variant = variantNamed(config.variants, request.variant ?? usual);
  const lock = await readLock(from, config.base);
  const keys = await signingKeys({ configured: config.update.signing, profile, release, now: new Date() });
  const outDir = join(root, 'out', variant.name === usual ? profile : `${profile}-${variant.name}`);
  return {
    root,
    profile,
    outDir,
    workDir: join(outDir, '.build'),
    cargoDir: join(root, 'out', '.cargo'),
    cacheDir: join(root, 'out', '.cache'),
    config: { ...config, partitions: config.partitions.map((one) => withSlotSize(one, variant)) },
    lock,
    variant,
    version: versionName(base, profile, keys.unreleased, source),
    source: source.commit === undefined ? 'unknown' : `${source.commit}${source.changed ? '+' : ''}`,
    sourceDateEpoch: source.epoch,
    keys,
    rust: rustToolchain(root),
  };
}

/** Errors: `UserError` `image/no-variant`, `image/variant-later`. */
function variantNamed(variants: readonly Variant[], name: string): Variant {
  const found = variants.find((one) => one.name === name);
  if (found?.buildable === true) return found;
  const known = variants.filter((one) => one.buildable).map((one) => one.name);
  const hint = `there are: ${known.join(', ')}`;
  throw found === undefined
    ? new UserError(`there is no variant \`${name}\`${didYouMean(name, known)}`, { code: 'image/no-variant', hint })
    : new UserError(`the variant \`${name}\` (${found.summary}) cannot be built yet`, { code: 'image/variant-later', hint });
}

function withSlotSize(partition: ResolvedPartition, { slot_bytes }: Variant): ResolvedPartition {
  return partition.content === 'slot' && slot_bytes !== undefined ? { ...partition, size_bytes: slot_bytes } : partition;
}

export function engineOptions(build: Build, log: Log, signal: AbortSignal): EngineOptions {
  return { root: build.root, outDir: build.outDir, log, signal };
}

/** `0.1.0-dev+1a2b3c4d5e6f.changed`, `0.1.0-unreleased+…`, `0.1.0+…`: semantic versioning, at most 63 characters. */
function versionName(base: string, profile: Profile, unreleased: boolean, source: Awaited<ReturnType<typeof sourceOf>>): string {
  const stage = profile === 'dev' ? '-dev' : unreleased ? '-unreleased' : '';
  const commit = source.commit === undefined ? 'unknown' : source.commit.slice(0, 12);
  return `${base}${stage}+${commit}${source.changed ? '.changed' : ''}`;
}

async function baseVersion(root: string): Promise<string> {
  return (JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }).version;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// Which Rust there is, as scripts/bootstrap.sh chose it (.toolchain/env.json), and how to call it: cargo by full path, RUSTC set and the
// toolchain's folder first on PATH. With rustup's proxies first on PATH, Debian's cargo would take rustup's rustc and fail.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../errors.ts';

export interface RustToolchain {
  readonly kind: 'rustup' | 'debian';
  readonly cargo: string;
  readonly rustc: string;
  /** The folder that goes first on PATH. */
  readonly bin: string;
  /** `library/` of Rust's own source, for build-std. */
  readonly stdSource: string;
  /** `rustc 1.96.0 (…)`. */
  readonly version: string;
  /** Why this one was chosen. */
  readonly why: string;
}

/** Errors: `UserError` `machine/rust-missing` when it was not set up or is gone since. */
export function rustToolchain(root: string): RustToolchain {
  const file = join(root, '.toolchain/env.json');
  const hint = 'run scripts/bootstrap.sh; `just doctor` says what it chose';
  if (!existsSync(file)) throw new UserError('no Rust toolchain is set up', { code: 'machine/rust-missing', where: file, hint });
  const rust = JSON.parse(readFileSync(file, 'utf8')) as RustToolchain;
  for (const path of [rust.cargo, rust.rustc, join(rust.stdSource, 'Cargo.lock')]) {
    if (!existsSync(path))
      throw new UserError(`${path} is gone since the set-up`, { code: 'machine/rust-missing', where: file, hint });
  }
  return rust;
}

export interface CargoHost {
  readonly cargo: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** How to call cargo. Flags that a person has set for other work are removed, so that they change no build of ours. */
export function cargoHost(root: string): CargoHost {
  const rust = rustToolchain(root);
  const env = {
    CARGO: rust.cargo,
    RUSTC: rust.rustc,
    PATH: `${rust.bin}:${process.env.PATH ?? ''}`,
    // build-std and JSON targets are unstable features of a stable compiler; the version is pinned, so they stay what they are.
    RUSTC_BOOTSTRAP: '1',
    RUSTUP_AUTO_INSTALL: '0',
    RUSTUP_TOOLCHAIN: undefined,
    RUSTFLAGS: undefined,
    CARGO_ENCODED_RUSTFLAGS: undefined,
    CARGO_BUILD_TARGET: undefined,
    CARGO_BUILD_RUSTFLAGS: undefined,
    CARGO_TARGET_DIR: undefined,
    CARGO_INCREMENTAL: undefined,
    CARGO_TERM_COLOR: 'never',
  };
  return { cargo: rust.cargo, env };
}

export function cargoHome(): string {
  return process.env.CARGO_HOME ?? join(homedir(), '.cargo');
}

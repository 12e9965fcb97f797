// SPDX-License-Identifier: PMPL-1.0-or-later
// The steps that compile Rust: kernel, loader, servers, and the tools of this machine that pack what they made.
// Each copies the finished programs out of cargo's folder, which other builds may change.
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Input, Step, StepContext } from '../engine/types.ts';
import { type CargoBuild, cargoBuild } from '../toolchain/cargo.ts';
import { roughSize } from '../units.ts';
import type { Build } from './build.ts';
import { sizeOf } from './files.ts';

const notSource = ['target', 'tests', 'fuzz', 'proofs', 'benches', 'README.adoc', 'README.md', 'SAFETY.adoc'];
/** As kernel-rs/.cargo/config.toml asks whoever sets the flags. */
const kernelFlags = ['-Crelocation-model=static', '-Ccode-model=kernel', '-Cforce-frame-pointers=yes'];
/** As kernel-rs/boot/.cargo/config.toml asks: no time stamp, no debug id. */
const loaderFlags = ['-Clink-arg=/Brepro', '-Clink-arg=/debug:none'];
const userTarget = 'x86_64-flatracoon-user.json';
export const rootProgram = 'root';

export const kernelFile = (build: Build) => join(build.outDir, 'kernel.elf');
export const loaderFile = (build: Build) => join(build.workDir, 'loader.efi');
export const programFile = (build: Build, name: string) => join(build.workDir, 'programs', `${name}.elf`);
export const toolFile = (build: Build, name: 'bundle' | 'slot') => join(build.workDir, 'tools', name);

export function kernelStep(build: Build): Step {
  const debug = build.config.kernel.profiles[build.profile].debug;
  return cargoStep(build, {
    name: 'kernel',
    makes: `kernel${debug ? ' with debug facilities' : ''}`,
    workspace: 'kernel-rs',
    sources: ['abi', 'machine', 'kernel', 'start'],
    packages: ['start'],
    target: 'x86_64-unknown-none',
    features: debug ? ['start/debug'] : [],
    rustFlags: kernelFlags,
    programs: { 'flatracoon-kernel': kernelFile(build) },
  });
}

export function loaderStep(build: Build): Step {
  return cargoStep(build, {
    name: 'loader',
    makes: 'UEFI loader, not signed yet',
    workspace: 'kernel-rs/boot',
    sources: ['src', '../abi', '../../servers-rs/lib'],
    packages: ['loader'],
    target: 'x86_64-unknown-uefi',
    rustFlags: loaderFlags,
    programs: { 'loader.efi': loaderFile(build) },
  });
}

/** Every program that the configuration names, and root. One cargo run: they share most of what is compiled. */
export function serversStep(build: Build): Step {
  const names = [rootProgram, ...new Set(build.config.components.map((one) => one.program))];
  return cargoStep(build, {
    name: 'servers',
    makes: `${names.length} native programs`,
    workspace: 'servers-rs',
    sources: ['api', 'drivers', 'lib', 'programs', 'root', 'servers', userTarget, '../kernel-rs/abi'],
    packages: names,
    target: userTarget,
    programs: Object.fromEntries(names.map((name) => [name, programFile(build, name)])),
  });
}

export function toolsStep(build: Build): Step {
  return cargoStep(build, {
    name: 'host-tools',
    makes: 'bundle and slot, for this machine',
    workspace: 'servers-rs',
    sources: ['api', 'lib', 'tools', '../kernel-rs/abi'],
    packages: ['bundle', 'slot-tool'],
    programs: { bundle: toolFile(build, 'bundle'), slot: toolFile(build, 'slot') },
  });
}

interface CargoStep {
  readonly name: string;
  readonly makes: string;
  readonly workspace: string;
  /** Relative to the workspace. */
  readonly sources: readonly string[];
  readonly packages: readonly string[];
  /** This machine when absent. */
  readonly target?: string;
  readonly features?: readonly string[];
  readonly rustFlags?: readonly string[];
  /** Name in cargo's folder -> where it goes. */
  readonly programs: Readonly<Record<string, string>>;
}

function cargoStep(build: Build, cargo: CargoStep): Step {
  const { root, rust } = build;
  const at = join(root, cargo.workspace);
  const { features = [], rustFlags = [], packages, target } = cargo;
  const inputs: Input[] = [
    { kind: 'tool', name: 'rustc', version: `${rust.version}, ${rust.kind}` },
    { kind: 'file', path: join(root, 'scripts/rustc-stable-ids.sh') },
    { kind: 'value', name: 'cargo', value: { packages, target: target ?? 'host', features, rustFlags } },
    ...['Cargo.toml', 'Cargo.lock', '.cargo/config.toml'].map((file) => ({ kind: 'file' as const, path: join(at, file) })),
    ...cargo.sources.map((source) => ({
      kind: source.includes('.json') ? ('file' as const) : ('tree' as const),
      path: join(at, source),
      ignore: notSource,
    })),
  ];
  return {
    name: cargo.name,
    makes: cargo.makes,
    inputs,
    outputs: Object.values(cargo.programs),
    async run(context) {
      const folder = await cargoBuild({
        root,
        workspace: cargo.workspace,
        packages,
        features,
        rustFlags,
        ...(target === undefined ? {} : { target, buildStd: true as const }),
        // The host's tools apart: another target's build would not share a thing, but wait for the same lock.
        targetDir: join(build.cargoDir, target === undefined ? 'host' : cargo.name),
        ...context,
      } satisfies CargoBuild & StepContext);
      let sum = 0;
      for (const [name, output] of Object.entries(cargo.programs)) {
        await copyFile(join(folder, name), context.temporary(output));
        sum += await sizeOf(context.temporary(output));
      }
      return roughSize(sum);
    },
  };
}

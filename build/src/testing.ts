// SPDX-License-Identifier: PMPL-1.0-or-later
// The only door for `tests/`: what a test may use of the orchestrator. Anything else in `build/src` may change without asking a test.

export { healFigures, missedHealing, parseHeal } from './bench/heal.ts';
export { healBundle, healEnds } from './bench/heal-run.ts';
export { packBundle, type StageBundle, stageBundle } from './bench/stage-bundle.ts';
export { loadConfig } from './config/load.ts';
export { Digests } from './engine/digests.ts';
export { exitCodes, formatError, InternalError, UserError, UserErrors } from './errors.ts';
export * from './image/testing.ts';
export { signingKeys, writeEnrolledVars } from './keys/index.ts';
export { createLog } from './log.ts';
export { repositoryRoot } from './paths.ts';
export { chooseAccelerator } from './qemu/accelerator.ts';
export type { DiskFaults, FirmwareBoot, NetworkSpec } from './qemu/arguments.ts';
export { type Artifacts, artifactsOf, type Profile } from './qemu/artifacts.ts';
export type { BadSignName } from './qemu/bad-signs.ts';
export { createWriteLog, Disk, readTable, readWriteLog, type SlotName, slotOf, tableRegions } from './qemu/disk.ts';
export { type CutState, changes, prefixes, reordered, replay } from './qemu/disk-log.ts';
export { MachineFailure } from './qemu/failure.ts';
export { createFirmware } from './qemu/firmware.ts';
export type { Machine } from './qemu/machine.ts';
export { directBoot } from './qemu/prepare.ts';
export { code, pvhElf } from './qemu/pvh-elf.ts';
export { type MachineOptions, startMachine } from './qemu/start.ts';
export { startTpm, type Tpm } from './qemu/tpm.ts';
export { temporaryFolder } from './qemu/workspace.ts';
export { parseTap, type TapRun, tapProblems } from './report/tap.ts';
export { prepareBuild } from './steps/build.ts';
export { cargoBuild } from './toolchain/cargo.ts';
export type { RunOptions, RunResult } from './toolchain/exec.ts';
export { CommandError, run } from './toolchain/exec.ts';
export { cargoHost } from './toolchain/host.ts';
export { slotBuild, slotExtract, slotInspect, slotVerify } from './toolchain/slot-tool.ts';
export { formatSize, parseDurationUs, parseSize } from './units.ts';

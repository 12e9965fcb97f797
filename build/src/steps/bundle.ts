// SPDX-License-Identifier: PMPL-1.0-or-later
// The boot bundle: kernel configuration, server manifest and the programs that start before there is a root.
// What a bundle is, tools/bundle knows; here its description is written (docs/architecture/contracts.adoc, `bundle.json`).
import { join } from 'node:path';
import type { Component, Config, Profile } from '../config/types.ts';
import type { Json, Step } from '../engine/types.ts';
import { bundle } from '../toolchain/host-tools.ts';
import { roughSize } from '../units.ts';
import type { Build } from './build.ts';
import { sizeOf, writeJson } from './files.ts';
import { kernelFile, programFile, rootProgram, toolFile } from './rust.ts';

export const bundleFile = (build: Build) => join(build.outDir, 'bundle.frb');

export function bundleStep(build: Build): Step {
  const output = bundleFile(build);
  return {
    name: 'bundle',
    makes: 'boot bundle',
    inputs: [
      { kind: 'step', step: 'host-tools' },
      { kind: 'step', step: 'kernel' },
      { kind: 'step', step: 'servers' },
      {
        kind: 'value',
        name: 'manifest',
        value: bundleDescription(build.config, build.profile, build.version, (name) => name, 'kernel'),
      },
    ],
    outputs: [output],
    async run(context) {
      const description = join(await context.scratch(), 'bundle.json');
      const elf = (name: string) => programFile(build, name);
      await writeJson(description, bundleDescription(build.config, build.profile, build.version, elf, kernelFile(build)));
      await bundle(toolFile(build, 'bundle'), ['build', description, context.temporary(output)], context);
      return roughSize(await sizeOf(context.temporary(output)));
    },
  };
}

/** `bundle.json`. `elf` tells where a program's file is. */
export function bundleDescription(
  config: Config,
  profile: Profile,
  version: string,
  elf: (program: string) => string,
  kernelElf: string,
): { readonly [key: string]: Json } {
  const { kernel } = config;
  const chosen = kernel.profiles[profile];
  return {
    profile,
    version,
    kernel: {
      max_cpus: kernel.max_cpus,
      timer_slice_us: kernel.timer_slice_us,
      log_level: chosen.log_level,
      reserve: kernel.reserve_bytes,
      root_table_slots: kernel.root_table_slots,
      serial_console: chosen.serial_console,
      root_priority: kernel.root_priority,
    },
    kernel_elf: kernelElf,
    root_elf: elf(rootProgram),
    components: config.components.map((one) => component(one, elf)),
    order: config.startOrder,
  };
}

function component(one: Component, elf: (program: string) => string): Json {
  const { budget_us, period_us, restart } = one;
  return {
    name: one.name,
    program: one.program,
    from: one.from,
    ...(one.from === 'bundle' ? { elf: elf(one.program) } : {}),
    kind: one.kind,
    memory: one.memory_bytes,
    stack: one.stack_bytes,
    ...(one.heap_bytes === undefined ? {} : { heap: one.heap_bytes }),
    table_slots: one.table_slots,
    priority: one.priority,
    budget_us,
    period_us,
    arguments: one.arguments,
    devices: one.devices,
    io_ports: one.io_ports,
    interrupts: one.interrupts,
    dma: one.dma_bytes,
    serves: one.serves,
    calls: one.calls,
    inbound: one.inbound.map((rule) => ({ ...rule })),
    restart: {
      delay_ms: restart.delay_ms,
      max_delay_ms: restart.max_delay_ms,
      limit: restart.limit,
      window_ms: restart.window_ms,
      // biome-ignore lint/suspicious/noThenProperty: the name of the field in bundle.json; nothing awaits it
      then: restart.at_limit,
    },
    health: { ready_within_ms: one.ready_within_ms, heartbeat_ms: one.heartbeat_ms },
    log_level: one.log_level,
  };
}

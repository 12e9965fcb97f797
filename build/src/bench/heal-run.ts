// SPDX-License-Identifier: PMPL-1.0-or-later
// Boots the real manifest with `servers-rs/tests/heal` beside it, which kills and corrupts all others; reads what it says. Time is
// counted in instructions on one CPU: the same seed draws the same instants. What the lines mean as figures: `heal.ts`.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/types.ts';
import type { Json } from '../engine/types.ts';
import type { Artifacts } from '../qemu/artifacts.ts';
import { bundleDescription } from '../steps/bundle.ts';
import { compileNative, packBundle } from './stage-bundle.ts';

export interface HealBundle {
  readonly root: string;
  readonly config: Config;
  /** As the dev profile's build left them. */
  readonly artifacts: Artifacts;
  /** Deaths of each component. */
  readonly kills: number;
  /** Corruptions of each. */
  readonly faults: number;
  readonly seed: number;
  /** Ends of the process server before all that, each within a moment of the one before. */
  readonly ends?: number;
  /** Where the bundle goes. */
  readonly folder: string;
  readonly signal?: AbortSignal;
}

/** What stands at the end of a run: `end`, or `failed: ` and why. */
export const healEnds = /^heal (end|failed: (.*))$/;

const calls = ['supervisor', 'injector', 'log', 'block', 'time', 'entropy', 'random', 'net', 'socket', 'file'];

/** Returns the bundle's path. */
export async function healBundle(want: HealBundle): Promise<string> {
  const { root, artifacts, folder, kills, faults, seed, ends = 0, signal = new AbortController().signal } = want;
  mkdirSync(folder, { recursive: true });
  const programs = await compileNative({ root, program: 'heal', folder, signal });
  const elf = (name: string) => join(artifacts.folder, '.build', 'programs', `${name}.elf`);
  const said = bundleDescription(want.config, 'dev', '0.1.0-heal', elf, artifacts.kernel);
  // Programs that end by themselves are not killed.
  const stays = (one: { readonly [key: string]: Json }) => one['kind'] === 'service';
  const components = (said['components'] as readonly { readonly [key: string]: Json }[]).filter(stays);
  const names = components.map((one) => one['name']);
  const own = heal(join(programs, 'heal'), [`kills=${kills}`, `faults=${faults}`, `seed=${seed}`, `ends=${ends}`]);
  const description = {
    ...said,
    components: [...components.map(patient), own],
    order: [...(said['order'] as readonly string[]).filter((name) => names.includes(name)), 'heal'],
  };
  const name = `heal-${kills}-${faults}-${seed}-${ends}`;
  return packBundle({ bundleTool: artifacts.bundleTool, description, folder, name, signal });
}

/** Deaths come here a few milliseconds apart; each is to count as the first in a long time, as it does in the field. */
function patient(one: { readonly [key: string]: Json }): { readonly [key: string]: Json } {
  const restart = one['restart'] as { readonly [key: string]: Json };
  return { ...one, restart: { ...restart, window_ms: 0, limit: 1000 } };
}

function heal(elf: string, args: readonly string[]): { readonly [key: string]: Json } {
  return {
    name: 'heal',
    program: 'heal',
    from: 'bundle',
    elf,
    kind: 'oneshot',
    memory: 4 << 20,
    stack: 65536,
    table_slots: 1024,
    priority: 50,
    budget_us: 0,
    period_us: 0,
    arguments: args,
    devices: [],
    io_ports: [],
    interrupts: [],
    dma: 0,
    serves: [],
    calls: calls.map((name) => ({ interface: name, because: 'sees whether it serves' })),
    // biome-ignore lint/suspicious/noThenProperty: the name of the field in bundle.json; nothing awaits it
    restart: { delay_ms: 10, max_delay_ms: 10, limit: 0, window_ms: 1000, then: 'degrade' },
    // A run takes as long as it takes; nobody waits for it but the benchmark.
    health: { ready_within_ms: 2 ** 31 },
    log_level: 'info',
  };
}

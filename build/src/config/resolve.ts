// SPDX-License-Identifier: PMPL-1.0-or-later
// Raw configuration -> resolved: units become numbers, names become fields. It judges nothing (rules.ts and manifest/ do);
// a text that is no size or duration cannot come here, the contracts saw to it, except one beyond 2^53, which is refused.
import { UserError } from '../errors.ts';
import type { ResolvedPartition } from '../image/plan.ts';
import { parseDurationUs, parseSize } from '../units.ts';
import type { RawComponent, RawConfig } from './raw.ts';
import type { Base, Component, Kernel, Update, Variant } from './types.ts';

export interface Resolved {
  readonly kernel: Kernel;
  readonly components: readonly Component[];
  readonly update: Update;
  readonly base: Base;
  readonly partitions: readonly ResolvedPartition[];
  readonly variants: readonly Variant[];
}

export function resolveConfig(raw: RawConfig): Resolved {
  const { smallest_machine, timer_slice, reserve, ...kernel } = raw.kernel;
  return {
    kernel: {
      ...kernel,
      smallest_machine_bytes: bytes(smallest_machine),
      timer_slice_us: us(timer_slice),
      reserve_bytes: bytes(reserve),
    },
    components: Object.entries(raw.servers.components).map(([name, one]) => component(name, one)),
    update: update(raw.update),
    base: raw.base,
    partitions: Object.entries(raw.partitions).map(([file, one]) => partition(file, one, raw.update.tries)),
    variants: Object.entries(raw.variants).map(([file, { disk, slot, ...rest }]) => ({
      name: file.replace(/\.ncl$/, ''),
      ...rest,
      sector_bytes: bytes(disk.sector),
      alignment_bytes: bytes(disk.alignment),
      size_bytes: disk.size === undefined ? undefined : bytes(disk.size),
      slot_bytes: slot === undefined ? undefined : bytes(slot),
    })),
  };
}

function component(name: string, raw: RawComponent): Component {
  const { memory, stack, heap, dma, cpu, restart, health, inbound, ...rest } = raw;
  return {
    name,
    ...rest,
    memory_bytes: bytes(memory),
    stack_bytes: bytes(stack),
    heap_bytes: heap === undefined ? undefined : bytes(heap),
    budget_us: cpu === undefined ? 0 : us(cpu.budget),
    period_us: cpu === undefined ? 0 : us(cpu.period),
    dma_bytes: bytes(dma),
    inbound: inbound.map((rule) => ({ ...rule, last: rule.last ?? rule.first })),
    restart: {
      delay_ms: ms(restart.delay),
      max_delay_ms: ms(restart.max_delay),
      limit: restart.limit,
      window_ms: ms(restart.window),
      at_limit: restart.at_limit,
    },
    ready_within_ms: ms(health.ready_within),
    heartbeat_ms: ms(health.heartbeat),
  };
}

function update(raw: RawConfig['update']): Update {
  const { channel, rollback_index, confirm_within, tries, signing } = raw;
  const given = Object.fromEntries(Object.entries(signing).filter(([, value]) => value !== undefined));
  const where = 'configs/update.ncl, field signing';
  return { channel, rollback_index, tries, confirm_within_ms: ms(confirm_within), signing: { ...given, where } };
}

function partition(file: string, raw: RawConfig['partitions'][string], tries: number): ResolvedPartition {
  const [, order = '0', name = file] = /^(\d\d)-(.*)\.ncl$/.exec(file) ?? [];
  return {
    order: Number(order),
    name,
    label: raw.label,
    type: raw.type,
    ...(raw.guid === undefined ? {} : { guid: raw.guid }),
    size_bytes: bytes(raw.size),
    ...(raw.start === undefined ? {} : { start_bytes: bytes(raw.start) }),
    content: raw.content,
    ...(raw.slot === undefined ? {} : { slot: raw.slot }),
    ...(raw.state === undefined ? {} : { slot_state: { ...raw.state, tries } }),
    where: `images/partitions/${file}`,
  };
}

const bytes = (text: string) => parsed(text, parseSize(text));
const us = (text: string) => parsed(text, parseDurationUs(text));
/** Rounded up: a delay of 1us is not none. */
const ms = (text: string) => Math.ceil(us(text) / 1_000);

function parsed(text: string, value: number | undefined): number {
  if (value !== undefined) return value;
  throw new UserError(`"${text}" is beyond what can be counted exactly`, {
    code: 'config/too-large',
    hint: 'use a smaller value',
  });
}

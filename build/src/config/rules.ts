// SPDX-License-Identifier: PMPL-1.0-or-later
// What is refused beyond the contracts of single values. Rules of one component are here; rules over the graph of servers are in
// ../manifest/rules.ts, rules of the disk in ../image/rules.ts. Each returns all that it found.
import { checkBase } from '../base/rules.ts';
import { UserError, UserErrors } from '../errors.ts';
import { planImage } from '../image/plan.ts';
import { order } from '../manifest/graph.ts';
import type { Links } from '../manifest/links.ts';
import { checkGraph } from '../manifest/rules.ts';
import { formatSize } from '../units.ts';
import { type Sources, whereOf } from './diagnostics.ts';
import type { Resolved } from './resolve.ts';
import type { Component } from './types.ts';

const servers = 'configs/servers.ncl';
const pageBytes = 4096;
/** The least that the kernel can promise: its timer interrupt costs a few microseconds. */
const leastSliceUs = 100;

/** A mistake with its place: file and field path; the line comes from the source. */
export type Refuse = (code: string, file: string, path: readonly string[], message: string, hint: string) => UserError;

export function checkConfig(config: Resolved, sources: Sources, linked: Links): UserError[] {
  const refuse: Refuse = (code, file, path, message, hint) =>
    new UserError(message, { code, where: whereOf(sources, file, path), hint });
  return [
    ...kernelRules(config, refuse),
    ...config.components.flatMap((one) => componentRules(one, refuse)),
    ...checkGraph(config, refuse, linked),
    ...checkBase(config.base, config.variants, refuse),
    ...partitionRules(config),
  ];
}

export function startOrder(components: readonly Component[]): string[] {
  const ordered = order(components);
  return ordered.kind === 'order' ? ordered.names.filter((name) => name !== 'process') : [];
}

function kernelRules({ kernel }: Resolved, refuse: Refuse): UserError[] {
  const errors: UserError[] = [];
  const file = 'configs/kernel.ncl';
  if (kernel.reserve_bytes % pageBytes !== 0)
    errors.push(
      refuse(
        'config/not-pages',
        file,
        ['reserve'],
        `reserve: ${formatSize(kernel.reserve_bytes)} is not a multiple of 4KiB`,
        'use whole pages',
      ),
    );
  if (kernel.timer_slice_us < leastSliceUs || kernel.timer_slice_us > 1_000_000) {
    const message = `timer_slice: ${kernel.timer_slice_us}us is outside of what the timer can do`;
    errors.push(refuse('config/out-of-range', file, ['timer_slice'], message, `allowed is ${leastSliceUs}us to 1s`));
  }
  if (kernel.profiles.prod.debug) {
    const message = 'profiles.prod.debug: a production kernel has no debug system calls';
    errors.push(
      refuse(
        'config/debug-in-production',
        file,
        ['profiles', 'prod', 'debug'],
        message,
        'set it to false, or build the dev profile',
      ),
    );
  }
  return errors;
}

function componentRules(one: Component, refuse: Refuse): UserError[] {
  const errors: UserError[] = [];
  const at = (field: string) => ['components', one.name, ...field.split('.')];
  const add = (code: string, field: string, message: string, hint: string) =>
    errors.push(refuse(`manifest/${code}`, servers, at(field), `components.${one.name}.${field}: ${message}`, hint));
  const sizes = { memory: one.memory_bytes, stack: one.stack_bytes, heap: one.heap_bytes ?? 0, dma: one.dma_bytes };
  for (const [field, size] of Object.entries(sizes)) {
    if (size % pageBytes !== 0) add('not-pages', field, `${formatSize(size)} is not a multiple of 4KiB`, 'use whole pages');
  }
  if (one.stack_bytes < pageBytes) add('no-stack', 'stack', 'a program needs a page of stack at least', 'use 16KiB or more');
  if (one.stack_bytes + (one.heap_bytes ?? 0) >= one.memory_bytes)
    add('memory-too-small', 'memory', `${formatSize(one.memory_bytes)} holds no more than its stack and heap`, 'raise memory');
  if (one.budget_us > one.period_us)
    add('budget-above-period', 'cpu.budget', 'is longer than its period', 'a budget is at most its period');
  if (one.restart.delay_ms > one.restart.max_delay_ms)
    add('delay-above-most', 'restart.delay', 'is longer than max_delay', 'raise max_delay or lower delay');
  one.io_ports.forEach((ports, n) => {
    if (ports.first > ports.last)
      add('ports-reversed', `io_ports.${n}.first`, `${ports.first} is after ${ports.last}`, 'swap first and last');
  });
  if (one.devices.length === 0 && one.dma_bytes > 0)
    add('dma-without-device', 'dma', 'nothing uses it: the component has no device', 'remove it, or grant the device');
  if (one.name === 'process' && one.from !== 'bundle')
    add('process-from-root', 'from', 'the process server starts before there is a root', 'leave `from` out');
  return errors;
}

/** The disk's own rules, by making its plan. Their errors name the file and the field already. */
function partitionRules({ partitions, variants }: Resolved): UserError[] {
  const variant = variants.find((one) => one.name === 'qemu');
  try {
    const disk = variant === undefined ? {} : { sector_bytes: variant.sector_bytes, alignment_bytes: variant.alignment_bytes };
    planImage({ partitions, disk, seed: 'check', slots: 'both' });
    return [];
  } catch (error) {
    const errors = error instanceof UserErrors ? error.errors : error instanceof UserError ? [error] : undefined;
    if (errors === undefined) throw error;
    return errors.map((one) => placed(one, partitions));
  }
}

/** A rule over placed partitions knows the name only; the file follows from it. */
function placed(error: UserError, partitions: Resolved['partitions']): UserError {
  const name = /^image: ([a-z0-9-]+) /.exec(error.message)?.[1];
  const found = partitions.find((one) => one.name === name);
  if (error.where !== undefined || found === undefined) return error;
  return new UserError(error.message, { code: error.code, where: `${found.where}, field size`, hint: error.hint ?? '' });
}

/** Errors that name `FILE.ncl, field a.b` get the line. */
export function withLines(error: unknown, sources: Sources): unknown {
  if (error instanceof UserErrors) return new UserErrors(error.errors.map((one) => withLines(one, sources) as UserError));
  if (!(error instanceof UserError)) return error;
  const place = /^([\w./-]+\.ncl), field ([\w.-]+)$/.exec(error.where ?? '');
  if (place === null) return error;
  const { code, hint, log, cause } = error;
  const where = whereOf(sources, place[1] ?? '', (place[2] ?? '').split('.'));
  return new UserError(error.message, {
    code,
    where,
    ...(hint === undefined ? {} : { hint }),
    ...(log === undefined ? {} : { log }),
    ...(cause === undefined ? {} : { cause }),
  });
}

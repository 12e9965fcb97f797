// SPDX-License-Identifier: PMPL-1.0-or-later
// What a component may do, as a set of grants and a few amounts, and what changed of it between two bundles. Pure.
// A grant that is there only in the new bundle, or an amount that grew, is more authority: a review looks at those first.
import { formatSize } from '../units.ts';

/** A component as `bundle inspect` tells it. */
export interface BundleComponent {
  readonly name: string;
  readonly kind: string;
  readonly program: { readonly from: string; readonly sha256?: string };
  readonly memory: number;
  readonly stack: number;
  readonly table_slots: number;
  readonly priority: number;
  /** 0: no limit. */
  readonly budget_us: number;
  readonly period_us: number;
  readonly log_level: number;
  readonly ready_within_ms: number;
  /** 0: nobody looks. */
  readonly heartbeat_ms: number;
  readonly restart: Readonly<Record<string, number | string>>;
  readonly devices: readonly { readonly vendor: number; readonly devices: readonly number[] }[];
  readonly io_ports: readonly (readonly [number, number])[];
  readonly interrupts: readonly number[];
  readonly dma: number;
  readonly serves: readonly string[];
  readonly calls: readonly string[];
  /** As `tcp 22-22 from link`. */
  readonly inbound: readonly string[];
}

export interface BundleReport {
  readonly version: string;
  readonly profile: string;
  readonly kernel: Readonly<Record<string, number | boolean>>;
  readonly components: readonly BundleComponent[];
}

export interface Change {
  /** `kernel`, or a component's name. */
  readonly who: string;
  readonly what: string;
  /** Empty: it was not there. */
  readonly old: string;
  /** Empty: it is gone. */
  readonly new: string;
  /** `other`: neither more nor less may be done, such as another program. */
  readonly authority: 'more' | 'less' | 'other';
}

/** All that differs, by component in the order of the new bundle, those that are gone last. */
export function changes(before: BundleReport, after: BundleReport): Change[] {
  const olds = new Map(before.components.map((one) => [one.name, one]));
  const news = new Set(after.components.map((one) => one.name));
  return [
    ...ofKernel(before.kernel, after.kernel),
    ...after.components.flatMap((one) => ofComponent(olds.get(one.name), one)),
    ...before.components.filter((one) => !news.has(one.name)).flatMap((one) => ofComponent(one, undefined)),
  ];
}

function ofKernel(before: BundleReport['kernel'], after: BundleReport['kernel']): Change[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((what) => differing('kernel', what, text(before[what]), text(after[what]), 'other'));
}

function ofComponent(before: BundleComponent | undefined, after: BundleComponent | undefined): Change[] {
  const who = (after ?? before)?.name ?? '';
  const [olds, news] = [grants(before), grants(after)];
  const whole: Change[] =
    before === undefined
      ? [{ who, what: 'component', old: '', new: after?.kind ?? '', authority: 'more' }]
      : after === undefined
        ? [{ who, what: 'component', old: before.kind, new: '', authority: 'less' }]
        : [];
  return [
    ...whole,
    ...news
      .filter((one) => !olds.includes(one))
      .map((one): Change => ({ who, what: one, old: '', new: 'granted', authority: 'more' })),
    ...olds
      .filter((one) => !news.includes(one))
      .map((one): Change => ({ who, what: one, old: 'granted', new: '', authority: 'less' })),
    ...(before === undefined || after === undefined ? [] : [...amounts(before, after), ...rest(before, after)]),
  ];
}

/** What a component holds or not, in words. A match of several devices is as many grants. */
function grants(one: BundleComponent | undefined): string[] {
  if (one === undefined) return [];
  return [
    ...one.devices.flatMap(({ vendor, devices }) => devices.map((device) => `PCI ${hex(vendor)}:${hex(device)}`)),
    ...one.io_ports.map(([first, last]) => `ports ${hex(first)}-${hex(last)}`),
    ...one.interrupts.map((gsi) => `interrupt ${gsi}`),
    ...one.calls.map((name) => `calls ${name}`),
    ...one.serves.map((name) => `serves ${name}`),
    ...one.inbound.map((rule) => `inbound ${rule}`),
  ];
}

function amounts(before: BundleComponent, after: BundleComponent): Change[] {
  const who = after.name;
  const size = (what: string, old: number, now: number) =>
    differing(who, what, formatSize(old), formatSize(now), now > old ? 'more' : 'less');
  const share = (one: BundleComponent) => (one.budget_us === 0 ? 1 : one.budget_us / one.period_us);
  const time = (one: BundleComponent) => (one.budget_us === 0 ? 'no limit' : `${one.budget_us} us in ${one.period_us} us`);
  return [
    ...size('memory', before.memory, after.memory),
    ...size('DMA memory', before.dma, after.dma),
    ...differing(
      who,
      'priority',
      text(before.priority),
      text(after.priority),
      after.priority > before.priority ? 'more' : 'less',
    ),
    ...differing(who, 'CPU time', time(before), time(after), share(after) > share(before) ? 'more' : 'less'),
  ];
}

function rest(before: BundleComponent, after: BundleComponent): Change[] {
  const other = (what: string, old: unknown, now: unknown) => differing(after.name, what, text(old), text(now), 'other');
  return [
    ...other('kind', before.kind, after.kind),
    ...other('stack', formatSize(before.stack), formatSize(after.stack)),
    ...other('table slots', before.table_slots, after.table_slots),
    ...other('restart', words(before.restart), words(after.restart)),
    ...other('ready within', `${before.ready_within_ms} ms`, `${after.ready_within_ms} ms`),
    ...other('heartbeat', `${before.heartbeat_ms} ms`, `${after.heartbeat_ms} ms`),
    ...other('log level', before.log_level, after.log_level),
    ...other('program', program(before), program(after)),
  ];
}

function program({ program: { from, sha256 } }: BundleComponent): string {
  return sha256 === undefined ? from : `${from} ${sha256.slice(0, 12)}`;
}

function words(values: Readonly<Record<string, number | string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

function differing(who: string, what: string, old: string, now: string, authority: Change['authority']): Change[] {
  return old === now ? [] : [{ who, what, old, new: now, authority }];
}

function text(value: unknown): string {
  return value === undefined ? '' : String(value);
}

function hex(value: number): string {
  return value.toString(16).padStart(4, '0');
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// The resolved configuration: numbers in the unit of their name, every default filled in, read-only. Only this form travels.
import type { ResolvedPartition } from '../image/plan.ts';
import type { ResolvedSigning } from '../keys/index.ts';

export type Profile = 'dev' | 'prod';
export type LogLevel = 'silent' | 'error' | 'warning' | 'info' | 'debug';

export interface Kernel {
  /** All budgets must fit into it. */
  readonly smallest_machine_bytes: number;
  readonly max_cpus: number;
  readonly timer_slice_us: number;
  readonly reserve_bytes: number;
  readonly root_table_slots: number;
  readonly root_priority: number;
  readonly profiles: Readonly<Record<Profile, KernelProfile>>;
}

export interface KernelProfile {
  readonly log_level: LogLevel;
  readonly serial_console: boolean;
  readonly debug: boolean;
}

export interface Component {
  readonly name: string;
  readonly program: string;
  /** `bundle`, or `root:` and a path of the verity root. */
  readonly from: string;
  readonly kind: 'service' | 'oneshot';
  readonly memory_bytes: number;
  readonly stack_bytes: number;
  readonly heap_bytes: number | undefined;
  readonly table_slots: number;
  readonly priority: number;
  /** 0: no limit. */
  readonly budget_us: number;
  readonly period_us: number;
  readonly arguments: readonly string[];
  readonly devices: readonly {
    readonly pci: { readonly vendor: number; readonly device: number; readonly alternatives: readonly number[] };
    readonly because: string;
  }[];
  readonly io_ports: readonly { readonly first: number; readonly last: number; readonly because: string }[];
  readonly interrupts: readonly { readonly gsi: number; readonly because: string }[];
  readonly dma_bytes: number;
  readonly serves: readonly string[];
  readonly calls: readonly { readonly interface: string; readonly because: string }[];
  readonly inbound: readonly Inbound[];
  readonly restart: {
    readonly delay_ms: number;
    readonly max_delay_ms: number;
    readonly limit: number;
    readonly window_ms: number;
    readonly at_limit: 'degrade' | 'reboot';
  };
  readonly ready_within_ms: number;
  /** 0: nobody looks. */
  readonly heartbeat_ms: number;
  readonly log_level: LogLevel;
}

/** What others may begin at a component's own address. */
export interface Inbound {
  readonly protocol: 'tcp' | 'udp';
  readonly first: number;
  readonly last: number;
  readonly from: 'components' | 'link' | 'anywhere';
  readonly because: string;
}

export interface Update {
  readonly channel: string;
  readonly rollback_index: number;
  readonly confirm_within_ms: number;
  readonly tries: number;
  readonly signing: ResolvedSigning;
}

/** Where the Linux userland of the image comes from: configs/base.ncl. */
export interface Base {
  readonly source: 'Debian' | 'Flatcar';
  readonly suite: string;
  /** By name, in the order of the file. */
  readonly groups: Readonly<Record<string, BaseGroup>>;
  readonly profiles: Readonly<Record<Profile, readonly string[]>>;
  readonly supplied: readonly { readonly package: string; readonly because: string }[];
  readonly left_out: readonly { readonly path: string; readonly except: readonly string[]; readonly because: string }[];
}

export interface BaseGroup {
  readonly packages: readonly string[];
  readonly users: readonly { readonly name: string; readonly id: number; readonly home: string; readonly shell: string }[];
  readonly links: readonly { readonly path: string; readonly target: string }[];
  readonly copies: readonly { readonly from: string; readonly path: string }[];
  readonly directories: readonly { readonly path: string; readonly mode: string }[];
}

export interface Variant {
  readonly name: string;
  readonly summary: string;
  readonly buildable: boolean;
  readonly formats: readonly string[];
  readonly sector_bytes: number;
  readonly alignment_bytes: number;
  readonly size_bytes: number | undefined;
  /** Groups of packages beyond the profile's. */
  readonly base: readonly string[];
  /** The size of both slots, where it is not that of the partitions. */
  readonly slot_bytes: number | undefined;
}

export interface Config {
  readonly kernel: Kernel;
  readonly components: readonly Component[];
  /** Component names in the order they are started: each after all that it calls. */
  readonly startOrder: readonly string[];
  readonly update: Update;
  readonly base: Base;
  readonly partitions: readonly ResolvedPartition[];
  readonly variants: readonly Variant[];
}

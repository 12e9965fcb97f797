// SPDX-License-Identifier: PMPL-1.0-or-later
//
// What a format is: a way to wrap the raw disk for somebody. It changes no byte that a machine sees.
// A new one is one file here, its test, and a line in index.ts; the plan does not change. Nothing but types.

import type { ImagePlan } from '../plan.ts';

export interface FormatRequest {
  /** The finished raw disk. It is only read. */
  readonly raw: string;
  readonly plan: ImagePlan;
  /** What the build says of itself. */
  readonly about: ImageFacts;
  /** The resolved form of `images/variants/<name>.ncl`. */
  readonly machine: MachineFacts;
  /** Where to write; the engine moves it to its name when it is whole. */
  readonly out: string;
  /** The name that the disk has in the end, for a format that mentions it: `flatracoon-os-0.1.0.qcow2`. */
  readonly disk_name: string;
  readonly signal?: AbortSignal;
}

export interface ImageFacts {
  readonly name: string;
  readonly version: string;
  readonly profile: 'dev' | 'prod';
  readonly unreleased: boolean;
}

/** The machine that an image is meant for. */
export interface MachineFacts {
  readonly memory_bytes: number;
  readonly cpus: number;
  /** An emulated TPM 2.0. */
  readonly tpm: boolean;
}

export interface Format {
  /** What follows `flatracoon-os-<version>` in the file's name: `.qcow2`. */
  readonly suffix: string;
  /** For plan and log. */
  readonly makes: string;
  make(request: FormatRequest): Promise<void>;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// manifest.json: what a build made, for machines: every file's digest, the partition table, what the slot holds, who signed.
// Canonical JSON (sorted keys, no spaces), so that two equal builds have equal manifests. Pure; the digests are given.

import type { ImageFacts } from './formats/format.ts';
import type { ImagePlan } from './plan.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface ManifestInput {
  readonly about: ImageFacts;
  /** Of the source: a git commit, or "unknown" outside a repository; `+` behind it for a changed tree. */
  readonly source: string;
  readonly source_date_epoch_seconds: number;
  readonly plan: ImagePlan;
  /** By file name, relative to the manifest. */
  readonly files: Readonly<Record<string, { readonly size_bytes: number; readonly sha256: string }>>;
  /** What `tools/slot` said of the slot: `slot.json` as it is. */
  readonly slot: Json;
  readonly signed_by: {
    /** ed25519, 64 hexadecimal digits. */
    readonly commit_key: string;
    /** SHA-256 of the loader's certificate (DER), hexadecimal digits. */
    readonly loader_certificate: string;
    readonly development_keys: boolean;
  };
}

/** Raised when a reader of version 1 would misunderstand. */
const MANIFEST_VERSION = 1;

export function renderManifest(input: ManifestInput): string {
  const { about, plan } = input;
  return `${canonicalJson({
    manifest_version: MANIFEST_VERSION,
    name: about.name,
    version: about.version,
    profile: about.profile,
    unreleased: about.unreleased,
    source: input.source,
    source_date_epoch_seconds: input.source_date_epoch_seconds,
    files: input.files,
    disk: plan as unknown as Json,
    slot: input.slot,
    signed_by: input.signed_by,
  })}\n`;
}

/** Keys sorted by their UTF-16 units (RFC 8785), no spaces. Never by locale: that is the host's. */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const fields = Object.keys(value)
    .sort()
    .flatMap((key) => {
      const inner = value[key];
      return inner === undefined ? [] : [`${JSON.stringify(key)}:${canonicalJson(inner)}`];
    });
  return `{${fields.join(',')}}`;
}

const isList = (value: object): value is readonly Json[] => Array.isArray(value);

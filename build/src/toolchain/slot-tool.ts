// SPDX-License-Identifier: PMPL-1.0-or-later
//
// What `slot`, our own host tool (servers-rs/tools/slot), says of slots, with types: for the verifier and for tests. Steps call it through
// host-tools.ts. Its exit code 2 is the input's fault and becomes a UserError with the tool's own words; 1 is ours.
// A verdict of "no" is a result here, not an error. Formats: docs/architecture/contracts.adoc.

import { InternalError, UserError } from '../errors.ts';
import { type RunOptions, run } from './exec.ts';

/** The program's path, since it is built and not installed. */
export type SlotTool = string;
type Options = Pick<RunOptions, 'signal' | 'onLine'>;

export interface SlotBuild {
  /** tree.json */
  readonly tree: string;
  /** spec.json */
  readonly spec: string;
  readonly out: string;
  readonly report: string;
  /** A key file. */
  readonly key: string;
  /** An OSTree archive repository to add the tree to. */
  readonly repo?: string;
}

/** Makes a slot image; what the tool says of it is also in `report`. */
export function slotBuild(tool: SlotTool, build: SlotBuild, options: Options = {}): Promise<SlotReport> {
  const repo = build.repo === undefined ? [] : ['--repo', build.repo];
  const files = ['--tree', build.tree, '--spec', build.spec, '--out', build.out, '--report', build.report, '--key', build.key];
  return call<SlotReport>(tool, ['build', ...files, ...repo], options);
}

/** Judges a disk's tables and slots, or one slot image, as the loader does and then block by block. `keys`: keys.json or a loader with keys. */
export async function slotVerify(tool: SlotTool, image: string, keys: string, options: Options = {}): Promise<SlotVerdict> {
  const { code, stdout, stderr } = await run(tool, ['verify', '--image', image, '--keys', keys], { ...options, ok: 'any' });
  const said = parse<SlotVerdict>(stdout);
  if (said === undefined || code === 1)
    throw new InternalError(`the slot tool failed with ${code} while it verified ${image}:\n${stderr}`);
  // A verdict of "no" is a result, not a failure; other refusals have no slots to speak of.
  if (said.slots === undefined) throw refusal(said, stderr);
  return said;
}

/** What a slot says of itself; nothing is checked. */
export function slotInspect(tool: SlotTool, image: string, slot?: 'A' | 'B', options: Options = {}): Promise<SlotReport> {
  return call<SlotReport>(tool, ['inspect', '--image', image, ...(slot === undefined ? [] : ['--slot', slot])], options);
}

/** Writes the files of a slot image, or of a disk's slot, to `out`/files, and `out`/tree.json that describes them. */
export async function slotExtract(
  tool: SlotTool,
  image: string,
  out: string,
  options: Options & { readonly slot?: 'A' | 'B' } = {},
): Promise<void> {
  const { slot, ...rest } = options;
  await call(tool, ['extract', '--image', image, ...(slot === undefined ? [] : ['--slot', slot]), '--out', out], rest);
}

/** `slot.json` */
export interface SlotReport {
  readonly version: string;
  readonly unreleased: boolean;
  readonly refs: readonly string[];
  readonly rollback_index: number;
  readonly commit: string;
  readonly verity: {
    readonly root: string;
    readonly salt: string;
    readonly data_blocks: number;
    readonly hash_offset_bytes: number;
  };
  readonly image_bytes: number;
  readonly used_bytes: number;
  readonly partition_bytes: number;
}

export interface SlotVerdict {
  readonly ok: boolean;
  readonly slots?: readonly SlotState[];
  readonly problems?: readonly string[];
  readonly error?: ToolError;
}

export interface SlotState {
  readonly state: 'good' | 'empty' | 'refused';
  /** Of a disk's slot. */
  readonly label?: string;
  readonly bootable?: boolean;
  /** Of a refused slot: which check, and what it found. */
  readonly check?: string;
  readonly detail?: string;
  /** Of a good slot. */
  readonly version?: string;
  readonly unreleased?: boolean;
  readonly commit?: string;
  readonly verity_root?: string;
  readonly data_blocks?: number;
  readonly entries?: number;
}

interface ToolError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | null;
}

async function call<T>(tool: SlotTool, args: readonly string[], options: Options): Promise<T> {
  const { code, stdout, stderr, command } = await run(tool, args, { ...options, ok: 'any' });
  const said = parse<T & { readonly error?: ToolError }>(stdout);
  if (code === 0 && said !== undefined) return said;
  if (code === 2 && said?.error !== undefined) throw refusal(said, stderr);
  throw new InternalError(`ended with ${code}: ${command}\n${stderr}`);
}

function refusal(said: { readonly error?: ToolError }, stderr: string): UserError {
  const { code = 'refused', message = stderr.trim(), hint } = said.error ?? {};
  return new UserError(`slot: ${message}`, {
    code: `slot/${code}`,
    hint: hint ?? 'see docs/architecture/contracts.adoc for what is expected',
  });
}

function parse<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// The words of the engine: what a step is, what it may read, what a plan says. No code here.
// A step declares everything that it reads; the engine digests that and runs the step only when a digest differs.
// Read next: `plan.ts` (pure, which steps would run and why), `apply.ts` (runs them), `../steps/` (our steps).
import type { Log, StepLog } from '../log.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Something that a step reads. Paths are absolute; messages show them relative to the repository. */
export type Input =
  | { readonly kind: 'file'; readonly path: string }
  /** A directory with everything below it: names, executable bits, contents, link targets. `ignore` names folders or files by base name. */
  | { readonly kind: 'tree'; readonly path: string; readonly ignore?: readonly string[] }
  /** A piece of resolved configuration. */
  | { readonly kind: 'value'; readonly name: string; readonly value: Json }
  /** All outputs of another step. */
  | { readonly kind: 'step'; readonly step: string }
  /** A program and its version, so that a newer tool makes the step run again. */
  | { readonly kind: 'tool'; readonly name: string; readonly version: string };

export interface Step {
  /** Unique; one word with hyphens: `kernel`, `slot-a`. */
  readonly name: string;
  /** What it makes, as a short phrase for plan and log. */
  readonly makes: string;
  readonly inputs: readonly Input[];
  /** Absolute paths of the files that it writes. Each is written under a temporary name first; see `StepContext.temporary`. */
  readonly outputs: readonly string[];
  /** Writes every output to its temporary path. Returns a note for the log, such as a size. */
  run(context: StepContext): Promise<string | undefined>;
}

export interface StepContext {
  readonly log: StepLog;
  readonly signal: AbortSignal;
  /** Where to write `output` (one of `Step.outputs`). It is moved to its name when the step has ended well. Same folder, so the move is atomic. */
  temporary(output: string): string;
  /** For an output that was hashed while it was written: spares reading it again. */
  digested(output: string, sha256: string): void;
  /** For a file of another step that got a second name here: its times changed, its contents did not. */
  stillIs(path: string, sha256: string): void;
  /** A fresh empty folder for scratch files; removed after the step. */
  scratch(): Promise<string>;
  /** Where the step's long output goes: `out/<profile>/.log/<step>.log`. */
  readonly logFile: string;
  /** Appends a line to `logFile` and shows it as progress. For `RunOptions.onLine`. */
  onLine(line: string): void;
}

/** One input with its digest, as recorded and compared. */
export interface DigestedInput {
  /** `file configs/kernel.ncl`, `tree kernel-rs/kernel`, `value kernel`, `step kernel`, `tool cargo`. */
  readonly label: string;
  /** sha256 hex, or undefined when it cannot be known before another step has run. */
  readonly digest: string | undefined;
  /** For trees: each file's digest, so that `why` can name the file. */
  readonly files?: Readonly<Record<string, string>>;
  /** For values that are records: each field as JSON, so that `why` can name the field. */
  readonly fields?: Readonly<Record<string, string>>;
  /** For tools and plain values: the text itself, so that `why` can say from what to what. */
  readonly text?: string;
}

export type Verdict =
  /** Inputs and outputs are as recorded. */
  | { readonly kind: 'same' }
  /** It will run: these are the reasons, most telling first. */
  | { readonly kind: 'run'; readonly reasons: readonly string[] }
  /** It runs when one of these steps makes something different. */
  | { readonly kind: 'waits'; readonly for: readonly string[] };

export interface PlannedStep {
  readonly step: Step;
  readonly inputs: readonly DigestedInput[];
  readonly verdict: Verdict;
}

export interface Plan {
  readonly steps: readonly PlannedStep[];
}

/** What is kept of a step that ended well: `out/<profile>/.state/<step>.json`. */
export interface StepRecord {
  readonly version: 1;
  readonly step: string;
  readonly inputs: readonly DigestedInput[];
  readonly outputs: readonly OutputRecord[];
  readonly durationMs: number;
  readonly reasons: readonly string[];
  readonly endedAt: string;
}

export interface OutputRecord {
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface EngineOptions {
  /** The repository's root; labels are relative to it. */
  readonly root: string;
  /** `out/<profile>`: holds `.state/`, `.log/` and the outputs. */
  readonly outDir: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

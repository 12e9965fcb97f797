// SPDX-License-Identifier: PMPL-1.0-or-later
// Carries steps out: each when those that it reads have ended, two at a time, and not at all when nothing has changed.
// Outputs are written under other names, moved to their own when the step has ended well, and recorded last. So whoever is killed,
// at any instant, leaves either a whole step with its record or something that the next run makes again.
import { appendFile, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { InternalError, Interrupted } from '../errors.ts';
import type { StepLog } from '../log.ts';
import { Digests } from './digests.ts';
import { makePlan, outputsDigest, planStep } from './plan.ts';
import { lock, State } from './state.ts';
import type { EngineOptions, OutputRecord, Plan, PlannedStep, Step, StepContext } from './types.ts';

/** Cargo uses all CPUs by itself; a second step fills the gaps when it links. */
const atOnce = 2;

export interface Applied {
  readonly ran: readonly string[];
  readonly same: readonly string[];
}

/** The plan alone: nothing is built. */
export async function planSteps(options: EngineOptions, steps: readonly Step[]): Promise<Plan> {
  const digests = await openDigests(options);
  const plan = await makePlan(options.root, steps, new State(options.outDir), digests);
  await digests.save();
  return plan;
}

/** Runs what must run. Errors: the first step's that failed, after the others that were running have been stopped. */
export async function applySteps(options: EngineOptions, steps: readonly Step[]): Promise<Applied> {
  const { outDir, log, signal } = options;
  await mkdir(outDir, { recursive: true });
  const unlock = await lock(outDir, signal, (pid) =>
    log.info(`another build (process ${pid}) works in ${outDir}; waiting for it`),
  );
  try {
    return await new Run(options, steps, await openDigests(options)).all();
  } finally {
    await unlock();
  }
}

function openDigests(options: EngineOptions): Promise<Digests> {
  return Digests.open(join(options.outDir, '.state', 'digests.json'));
}

class Run {
  readonly #ended = new Map<string, string>();
  readonly #ran: string[] = [];
  readonly #same: string[] = [];
  readonly #stop = new AbortController();
  readonly #state: State;
  readonly #options: EngineOptions;
  readonly #steps: readonly Step[];
  readonly #digests: Digests;

  constructor(options: EngineOptions, steps: readonly Step[], digests: Digests) {
    this.#options = options;
    this.#steps = steps;
    this.#digests = digests;
    this.#state = new State(options.outDir);
  }

  async all(): Promise<Applied> {
    const { signal } = this.#options;
    const onAbort = () => this.#stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      await this.#loop();
    } finally {
      signal.removeEventListener('abort', onAbort);
      await this.#digests.save();
    }
    return { ran: this.#ran, same: this.#same };
  }

  async #loop(): Promise<void> {
    const waiting = [...this.#steps];
    const running = new Map<string, Promise<void>>();
    let failure: { readonly error: unknown } | undefined;
    while (waiting.length > 0 || running.size > 0) {
      for (const step of failure === undefined ? waiting.filter((one) => this.#ready(one)) : []) {
        if (running.size >= atOnce) break;
        waiting.splice(waiting.indexOf(step), 1);
        const job = this.#one(step)
          .catch((error: unknown) => {
            // What fails because we stop it is not the cause.
            failure ??= { error };
            this.#stop.abort(new Interrupted());
          })
          .finally(() => running.delete(step.name));
        running.set(step.name, job);
      }
      if (running.size === 0) break;
      await Promise.race(running.values());
    }
    if (this.#options.signal.aborted) throw new Interrupted();
    if (failure !== undefined) throw failure.error;
    const [stuck] = waiting;
    if (stuck !== undefined) throw new InternalError(`the step ${stuck.name} waits for a step that does not exist`);
  }

  #ready(step: Step): boolean {
    return step.inputs.every((input) => input.kind !== 'step' || this.#ended.has(input.step));
  }

  async #one(step: Step): Promise<void> {
    const planned = await planStep(this.#options.root, step, this.#state, this.#digests, (name) => this.#ended.get(name));
    const log = this.#options.log.step(step.name);
    if (planned.verdict.kind === 'same') {
      this.#same.push(step.name);
      log.cached();
    } else {
      await this.#run(planned, log);
      this.#ran.push(step.name);
    }
    const digest = outputsDigest(await this.#state.read(step.name));
    if (digest === undefined) throw new InternalError(`the step ${step.name} left no record`);
    this.#ended.set(step.name, digest);
  }

  async #run(planned: PlannedStep, log: StepLog): Promise<void> {
    const { step, inputs, verdict } = planned;
    const { root, outDir } = this.#options;
    const started = performance.now();
    const reasons = verdict.kind === 'run' ? verdict.reasons : [];
    const logFile = join(outDir, '.log', `${step.name}.log`);
    await mkdir(dirname(logFile), { recursive: true });
    await writeFile(logFile, `${step.name}: ${step.makes}\nbecause: ${reasons.join('; ')}\n`);
    if (reasons[0] !== undefined) log.progress(`because ${reasons[0]}`);
    const work = new Work(step, log, logFile, this.#stop.signal);
    try {
      await this.#state.forget(step.name);
      await removeLeftovers(step);
      const note = await step.run(work.context);
      if (this.#stop.signal.aborted) throw new Interrupted();
      const outputs = await this.#takeOver(step, work);
      const durationMs = Math.round(performance.now() - started);
      await this.#state.write({
        version: 1,
        step: step.name,
        inputs,
        outputs,
        durationMs,
        reasons,
        endedAt: new Date().toISOString(),
      });
      await this.#digests.save();
      log.done(note);
      this.#options.log.event('output', {
        step: step.name,
        outputs: outputs.map((one) => ({ ...one, path: join(root, one.path) })),
      });
    } catch (error) {
      log.fail(error instanceof Interrupted ? 'stopped' : undefined);
      throw error;
    } finally {
      await removeLeftovers(step).catch(() => undefined);
      await work.cleanUp();
    }
  }

  async #takeOver(step: Step, work: Work): Promise<OutputRecord[]> {
    const records: OutputRecord[] = [];
    for (const path of step.outputs) {
      const partial = partialName(path);
      const { size } = await stat(partial).catch(() => {
        throw new InternalError(`the step ${step.name} did not write ${path}`);
      });
      const sha256 = work.digests.get(path) ?? (await this.#digests.ofFile(partial)) ?? '';
      await rename(partial, path);
      await this.#digests.known(path, sha256);
      records.push({ path: relative(this.#options.root, path), sha256, sizeBytes: size });
    }
    for (const [path, sha256] of work.renamed) await this.#digests.known(path, sha256);
    return records;
  }
}

/** What a running step is given. */
class Work {
  readonly digests = new Map<string, string>();
  readonly renamed = new Map<string, string>();
  readonly #scratch: string[] = [];
  readonly context: StepContext;

  constructor(step: Step, log: StepLog, logFile: string, signal: AbortSignal) {
    this.context = {
      log,
      signal,
      logFile,
      temporary: (output) => {
        if (!step.outputs.includes(output)) throw new InternalError(`${output} is no output of the step ${step.name}`);
        return partialName(output);
      },
      digested: (output, sha256) => void this.digests.set(output, sha256),
      stillIs: (path, sha256) => void this.renamed.set(path, sha256),
      scratch: async () => {
        const folder = await mkdtemp(join(dirname(step.outputs[0] ?? logFile), '.scratch-'));
        this.#scratch.push(folder);
        return folder;
      },
      onLine: (line) => {
        void appendFile(logFile, `${line}\n`).catch(() => undefined);
        if (line.trim() !== '') log.progress(line.trim());
      },
    };
  }

  async cleanUp(): Promise<void> {
    for (const folder of this.#scratch) await rm(folder, { recursive: true, force: true });
  }
}

const partialName = (output: string) => join(dirname(output), `.${basename(output)}.partial`);

/** What a run that was killed has left, beside this step's outputs. The lock says that nobody else is writing them. */
async function removeLeftovers(step: Step): Promise<void> {
  for (const folder of new Set(step.outputs.map(dirname))) {
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(folder)) {
      const ours = step.outputs.some((output) => dirname(output) === folder && name.startsWith(`.${basename(output)}.partial`));
      if (ours) await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

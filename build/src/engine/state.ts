// SPDX-License-Identifier: PMPL-1.0-or-later
// What is kept of steps that ended well, and the lock that lets one build at a time work in a profile's folder.
// A record is written after its outputs have their names; whoever is killed in between leaves outputs that no record speaks of.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Interrupted } from '../errors.ts';
import type { StepRecord } from './types.ts';

export class State {
  readonly #folder: string;
  readonly #records = new Map<string, StepRecord | undefined>();

  /** `outDir/.state` */
  constructor(outDir: string) {
    this.#folder = join(outDir, '.state');
  }

  async read(step: string): Promise<StepRecord | undefined> {
    if (!this.#records.has(step)) this.#records.set(step, await readRecord(join(this.#folder, `${step}.json`)));
    return this.#records.get(step);
  }

  async write(record: StepRecord): Promise<void> {
    const file = join(this.#folder, `${record.step}.json`);
    await mkdir(this.#folder, { recursive: true });
    await writeFile(`${file}.new`, JSON.stringify(record));
    await rename(`${file}.new`, file);
    this.#records.set(record.step, record);
  }

  async forget(step: string): Promise<void> {
    await rm(join(this.#folder, `${step}.json`), { force: true });
    this.#records.set(step, undefined);
  }
}

async function readRecord(file: string): Promise<StepRecord | undefined> {
  try {
    const record = JSON.parse(await readFile(file, 'utf8')) as StepRecord;
    return record.version === 1 ? record : undefined;
  } catch {
    // Absent or damaged: the step runs again.
    return undefined;
  }
}

/** Waits until no other build works in `outDir`. Returns what gives the lock back. A dead owner's lock is taken over. */
export async function lock(outDir: string, signal: AbortSignal, onWait: (pid: number) => void): Promise<() => Promise<void>> {
  const file = join(outDir, '.state', 'lock');
  await mkdir(join(outDir, '.state'), { recursive: true });
  const mine = `${process.pid} ${await startedAt(process.pid)}`;
  for (let told = false; ; ) {
    try {
      await writeFile(file, mine, { flag: 'wx' });
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const [pid = '0', started = ''] = (await readFile(file, 'utf8').catch(() => '')).split(' ');
    if (pid === '0') continue;
    if ((await startedAt(Number(pid))) !== started) {
      // Moved aside first: of two that find it dead, one moves it.
      await rename(file, `${file}.${process.pid}`).catch(() => undefined);
      await rm(`${file}.${process.pid}`, { force: true });
      continue;
    }
    if (!told) onWait(Number(pid));
    told = true;
    if (signal.aborted) throw new Interrupted();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** When a process was started, in ticks since boot: with its number it names a process for good. Empty when it does not run. */
async function startedAt(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

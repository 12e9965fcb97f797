// SPDX-License-Identifier: PMPL-1.0-or-later
// The engine with small steps that copy files: what runs, why, and what is left when a run is killed, fails or is interrupted.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { asKnown, Interrupted, UserError } from '../errors.ts';
import { createLog } from '../log.ts';
import { applySteps, planSteps } from './apply.ts';
import { State } from './state.ts';
import type { EngineOptions, Json, Step } from './types.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'engine-'));
  await mkdir(join(root, 'src'));
  await writeFile(join(root, 'src/a'), 'one');
  await writeFile(join(root, 'src/b'), 'two');
});
afterEach(() => rm(root, { recursive: true, force: true }));

const options = (signal = new AbortController().signal): EngineOptions => ({
  root,
  outDir: join(root, 'out'),
  log: createLog({ form: 'silent' }),
  signal,
});
const out = (name: string) => join(root, 'out', name);
const read = (name: string) => readFile(out(name), 'utf8');

/** `first` joins the sources, `second` is its length, `third` reads nothing of them. */
function steps(change: { factor?: number; tool?: string } = {}): Step[] {
  const { factor = 1, tool = '1.0' } = change;
  return [
    {
      name: 'first',
      makes: 'a joined file',
      inputs: [
        { kind: 'tree', path: join(root, 'src') },
        { kind: 'tool', name: 'joiner', version: tool },
      ],
      outputs: [out('first')],
      async run(context) {
        const names = (await readdir(join(root, 'src'))).sort();
        const texts = await Promise.all(names.map((name) => readFile(join(root, 'src', name), 'utf8')));
        await writeFile(context.temporary(out('first')), texts.join('').toUpperCase());
        return undefined;
      },
    },
    {
      name: 'second',
      makes: 'its length',
      inputs: [
        { kind: 'step', step: 'first' },
        { kind: 'value', name: 'factor', value: factor },
      ],
      outputs: [out('second')],
      async run(context) {
        await writeFile(context.temporary(out('second')), String((await read('first')).length * factor));
        return undefined;
      },
    },
    {
      name: 'third',
      makes: 'a constant',
      inputs: [],
      outputs: [out('third')],
      async run(context) {
        await writeFile(context.temporary(out('third')), '3');
        return undefined;
      },
    },
  ];
}

test('a first run runs every step, a second one none', async () => {
  expect([...(await applySteps(options(), steps())).ran].sort()).toEqual(['first', 'second', 'third']);
  expect(await read('second')).toBe('6');
  expect((await applySteps(options(), steps())).ran).toEqual([]);
});

test('a changed file runs its step, and those after it only if its output differs', async () => {
  await applySteps(options(), steps());
  await writeFile(join(root, 'src/a'), 'ONE');
  expect((await applySteps(options(), steps())).ran).toEqual(['first']);
  await writeFile(join(root, 'src/a'), 'longer');
  expect((await applySteps(options(), steps())).ran).toEqual(['first', 'second']);
});

test('the plan says which input would make a step run, and changes nothing', async () => {
  await applySteps(options(), steps());
  await writeFile(join(root, 'src/b'), 'zwei');
  await writeFile(join(root, 'src/new'), '');
  const plan = await planSteps(options(), steps({ factor: 2, tool: '2.0' }));
  expect(plan.steps.map((one) => one.verdict)).toEqual([
    { kind: 'run', reasons: ['src/b changed', 'src/new is new', 'tool joiner changed from 1.0 to 2.0'] },
    { kind: 'run', reasons: ['value factor changed from 1 to 2'] },
    { kind: 'same' },
  ]);
  expect((await planSteps(options(), steps())).steps[1]?.verdict).toEqual({ kind: 'waits', for: ['first'] });
  expect(await read('first')).toBe('ONETWO');
});

test('of a record the field that changed is named', async () => {
  const step = (value: Json): Step => ({
    name: 'record',
    makes: 'a file',
    inputs: [{ kind: 'value', name: 'settings', value }],
    outputs: [out('r')],
    async run(context) {
      await writeFile(context.temporary(out('r')), '');
      return undefined;
    },
  });
  await applySteps(options(), [step({ a: 1, deep: { list: [1, 2], on: true } })]);
  const plan = await planSteps(options(), [step({ a: 1, deep: { list: [1, 3], on: true }, more: 'x' })]);
  const reasons = ['value settings: deep.list changed from [1,2] to [1,3]', 'value settings: more changed from nothing to "x"'];
  expect(plan.steps[0]?.verdict).toEqual({ kind: 'run', reasons });
});

test('an output that somebody changed or removed is made again', async () => {
  await applySteps(options(), steps());
  await writeFile(out('first'), 'tampered');
  await rm(out('third'));
  const plan = await planSteps(options(), steps());
  expect(plan.steps[0]?.verdict).toEqual({ kind: 'run', reasons: ['out/first is not what the step made'] });
  expect(plan.steps[2]?.verdict).toEqual({ kind: 'run', reasons: ['out/third is missing'] });
  expect([...(await applySteps(options(), steps())).ran].sort()).toEqual(['first', 'third']);
  expect(await read('first')).toBe('ONETWO');
});

test('a step that fails leaves its old output, no temporary file and no record', async () => {
  await applySteps(options(), steps());
  const [first, ...rest] = steps({ tool: '2.0' });
  const failing: Step = {
    ...first!,
    async run(context) {
      await writeFile(context.temporary(out('first')), 'half');
      throw new UserError('refused', { code: 'test/refused' });
    },
  };
  await expect(applySteps(options(), [failing, ...rest])).rejects.toMatchObject({ code: 'test/refused' });
  expect(await read('first')).toBe('ONETWO');
  expect((await readdir(join(root, 'out'))).sort()).toEqual(['.log', '.state', 'first', 'second', 'third']);
  expect(await new State(join(root, 'out')).read('first')).toBeUndefined();
});

test('a step that forgets an output is our fault, and is told by name', async () => {
  const forgetful: Step = { name: 'f', makes: 'nothing', inputs: [], outputs: [out('f')], run: async () => undefined };
  await expect(applySteps(options(), [forgetful])).rejects.toThrow('the step f did not write');
});

test('a full disk is told as such, and what was written half is gone', async () => {
  const full: Step = {
    name: 'full',
    makes: 'too much',
    inputs: [],
    outputs: [out('full')],
    async run(context) {
      await writeFile(context.temporary(out('full')), 'half');
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    },
  };
  const error = asKnown(await applySteps(options(), [full]).catch((thrown: unknown) => thrown));
  expect(error).toMatchObject({ code: 'machine/disk-full' });
  expect(existsSync(out('full'))).toBe(false);
  expect((await readdir(join(root, 'out'))).filter((name) => name.includes('partial'))).toEqual([]);
});

test('an interrupt ends the run, and the next one goes on', async () => {
  const stop = new AbortController();
  const [first, ...rest] = steps();
  const slow: Step = {
    ...first!,
    run: (context) =>
      new Promise((_, reject) => {
        context.signal.addEventListener('abort', () => reject(new Interrupted()));
        stop.abort(new Interrupted());
      }),
  };
  await expect(applySteps(options(stop.signal), [slow, ...rest])).rejects.toBeInstanceOf(Interrupted);
  expect((await applySteps(options(), steps())).ran).toContain('first');
});

/** Runs the steps in a process of its own, which kills itself (as kill -9 does) at the given moment. */
async function killedAt(moment: 'while writing' | 'after the first output'): Promise<void> {
  const engine = pathToFileURL(join(import.meta.dirname, 'apply.ts')).href;
  const log = pathToFileURL(join(import.meta.dirname, '../log.ts')).href;
  const script = `
    import { readFileSync, writeFileSync } from 'node:fs';
    import { applySteps } from ${JSON.stringify(engine)};
    import { createLog } from ${JSON.stringify(log)};
    const out = (name) => ${JSON.stringify(join(root, 'out'))} + '/' + name;
    const die = () => process.kill(process.pid, 'SIGKILL');
    const step = { name: 'pair', makes: 'two files', inputs: [{ kind: 'value', name: 'v', value: 2 }], outputs: [out('x'), out('y')],
      async run(context) {
        writeFileSync(context.temporary(out('x')), 'new x');
        if (${JSON.stringify(moment)} === 'while writing') die();
        writeFileSync(context.temporary(out('y')), 'new y');
        // The first rename is done, then the end: the moment between two names.
        const watch = () => { try { if (readFileSync(out('x'), 'utf8') === 'new x') die(); } catch {} setImmediate(watch); };
        watch();
        return undefined;
      } };
    await applySteps({ root: ${JSON.stringify(root)}, outDir: ${JSON.stringify(join(root, 'out'))}, log: createLog({ form: 'silent' }), signal: new AbortController().signal }, [step]);
  `;
  const file = join(root, 'killed.mts');
  await writeFile(file, script);
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    cwd: join(import.meta.dirname, '../../..'),
    stdio: 'ignore',
  });
  const signal = await new Promise((resolve) => child.on('exit', (_, by) => resolve(by)));
  expect(signal).toBe('SIGKILL');
}

function pair(value: number, text: string): Step {
  return {
    name: 'pair',
    makes: 'two files',
    inputs: [{ kind: 'value', name: 'v', value }],
    outputs: [out('x'), out('y')],
    async run(context) {
      await writeFile(context.temporary(out('x')), `${text} x`);
      await writeFile(context.temporary(out('y')), `${text} y`);
      return undefined;
    },
  };
}

test.each(['while writing', 'after the first output'] as const)('a run that is killed %s is never trusted', async (moment) => {
  await applySteps(options(), [pair(1, 'old')]);
  await killedAt(moment);
  // Whatever the dead run left: asking for the old state again gives the old state again, whole.
  const { ran } = await applySteps(options(), [pair(1, 'old')]);
  expect(ran).toEqual(['pair']);
  expect([await read('x'), await read('y')]).toEqual(['old x', 'old y']);
  expect((await readdir(join(root, 'out'))).filter((name) => name.startsWith('.x') || name.startsWith('.y'))).toEqual([]);
});

test('two runs at once work one after the other', async () => {
  const [one, other] = await Promise.all([applySteps(options(), steps()), applySteps(options(), steps())]);
  expect([...one.ran, ...other.ran].sort()).toEqual(['first', 'second', 'third']);
});

test('the lock of a process that is gone is taken over', async () => {
  await mkdir(join(root, 'out/.state'), { recursive: true });
  await writeFile(join(root, 'out/.state/lock'), '999999999 1');
  expect((await applySteps(options(), steps())).ran).toHaveLength(3);
});

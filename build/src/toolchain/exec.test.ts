// SPDX-License-Identifier: PMPL-1.0-or-later
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Interrupted, type UserError } from '../errors.ts';
import { CommandError, run, versionOf } from './exec.ts';
import { atLeast } from './version.ts';

const failed = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

test('a failure says command, duration and the tail of the output, in that order of a sentence', async () => {
  const error = await failed(run('sh', ['-c', 'echo to out; echo to err >&2; exit 3']));
  expect(error).toBeInstanceOf(CommandError);
  expect(String(error)).toMatch(
    /ended with 3 after \d+ ms: sh -c 'echo to out; echo to err >&2; exit 3'\n {4}to out\n {4}to err/,
  );
});

test('a missing program is told with the package that brings it', async () => {
  const error = await failed(run('sgdisk', [], { env: { PATH: '/nowhere' } }));
  expect(error).toMatchObject({ code: 'machine/program-missing' });
  expect((error as UserError).hint).toContain('install the package gdisk');
});

test('a folder that is not there is not told as a missing program', async () => {
  const error = await failed(run('true', [], { cwd: '/no/such/folder' }));
  expect(error).not.toMatchObject({ code: 'machine/program-missing' });
  expect(String(error)).toContain('/no/such/folder');
});

test('lines come as they are written, from both streams', async () => {
  const lines: string[] = [];
  await run('sh', ['-c', 'printf "a\\nb"; echo c >&2'], { onLine: (line, from) => lines.push(`${from} ${line}`) });
  expect(lines.sort()).toEqual(['stderr c', 'stdout a', 'stdout b']);
});

test('an interrupt ends the child and its children', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'exec-'));
  const stop = new AbortController();
  const file = join(folder, 'pid');
  const running = failed(run('sh', ['-c', `(sleep 60 & echo $! > ${file}; wait); true`], { signal: stop.signal }));
  while (!existsSync(file) || (await readFile(file, 'utf8')) === '') await new Promise((resolve) => setImmediate(resolve));
  const pid = Number(await readFile(file, 'utf8'));
  stop.abort();
  expect(await running).toBeInstanceOf(Interrupted);
  // Gone, or dead and waiting for its new parent to notice.
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  expect(['', 'Z', 'X']).toContain(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[0]);
  await rm(folder, { recursive: true });
});

test('no shell: an argument is one argument whatever is in it', async () => {
  expect((await run('printf', ['%s', '$(echo x); "a b" *'])).stdout).toBe('$(echo x); "a b" *');
});

test('a timeout is a failure that says how long it was', async () => {
  expect(String(await failed(run('sleep', ['30'], { timeoutMs: 100 })))).toContain('no end within 100 ms');
});

test('standard output can go to a file, or be bytes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'exec-'));
  await run('echo', ['to a file'], { stdoutTo: join(folder, 'out') });
  expect(await readFile(join(folder, 'out'), 'utf8')).toBe('to a file\n');
  expect([...(await run('printf', ['\\377\\000'], { bytes: true })).stdoutBytes]).toEqual([255, 0]);
  await rm(folder, { recursive: true });
});

test('versions compare by number, and a missing program has none', async () => {
  expect([
    atLeast('v20.20.2', '20.19'),
    atLeast('mkfs.fat 4.2 (2021-01-31)', '4.2'),
    atLeast('QEMU 6.2.0', '7.2'),
    atLeast('?', '1.0'),
  ]).toEqual([true, true, false, false]);
  expect(await versionOf('no-such-program-here')).toBeUndefined();
});

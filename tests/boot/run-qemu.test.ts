// SPDX-License-Identifier: PMPL-1.0-or-later
// The command as a person uses it: on a terminal, in a pipe, left by each key, interrupted, killed. Nothing stays behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { artifactsOf } from '../../build/src/testing.ts';
import { root } from '../support/root.ts';
import { machineTurn } from '../support/turns.ts';

const command = [process.execPath, join(root, 'build/dist/run.js'), 'run-qemu', '--no-build'];
let done: (() => void) | undefined;
let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill('SIGKILL');
  done?.();
});

interface Session {
  readonly child: ChildProcess;
  output(): string;
  until(pattern: RegExp, timeoutMs: number): Promise<void>;
  readonly ended: Promise<number | NodeJS.Signals>;
}

async function session(words: readonly string[]): Promise<Session> {
  done = await machineTurn();
  const [program, ...args] = words;
  const started = spawn(program!, args, { cwd: root, stdio: 'pipe' });
  child = started;
  let text = '';
  const wake = new Set<() => void>();
  const collect = (chunk: Buffer) => {
    text += chunk.toString('latin1');
    for (const one of wake) one();
  };
  started.stdout.on('data', collect);
  started.stderr.on('data', collect);
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    started.once('close', (code, signal) => resolve(code ?? signal!));
  });
  return {
    child: started,
    output: () => text,
    ended,
    until: (pattern, timeoutMs) =>
      new Promise((resolve, reject) => {
        const give = (error?: Error) => {
          clearTimeout(timer);
          wake.delete(look);
          if (error === undefined) resolve();
          else reject(error);
        };
        const look = () => pattern.test(text) && give();
        const timer = setTimeout(
          () => give(new Error(`waited for ${pattern}; the command said:\n${text.slice(-3_000)}`)),
          timeoutMs,
        );
        wake.add(look);
        void ended.then((code) => give(new Error(`ended with ${code} before ${pattern}:\n${text.slice(-3_000)}`)));
        look();
      }),
  };
}

/** Under a pseudo-terminal, as a person has one. */
const onTerminal = (...options: string[]) => session(['script', '-qefc', [...command, ...options].join(' '), '/dev/null']);

/** Emulators that descend from a process. */
function emulators(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
        return words[0]?.endsWith('qemu-system-x86_64') === true && words.some((word) => word.includes(`flatracoon-qemu-`));
      } catch {
        return false;
      }
    });
}

const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('flatracoon-qemu-'));
async function goneWithin(timeoutMs: number, before: readonly number[]): Promise<void> {
  await expect.poll(() => emulators().filter((pid) => !before.includes(pid)), { timeout: timeoutMs }).toEqual([]);
}
const bootMs = 120_000;

describe('run-qemu without a terminal', () => {
  it('streams the console until the system is ready, and ends well', async () => {
    const before = { emulators: emulators(), folders: folders(), image: statSync(artifactsOf(root, 'dev').image).mtimeMs };
    const { ended, output } = await session(command);
    expect(await ended).toBe(0);
    expect(output()).toMatch(/^flatracoon: ready .*slot=A/m);
    await goneWithin(5_000, before.emulators);
    expect(folders()).toEqual(before.folders);
    expect(statSync(artifactsOf(root, 'dev').image).mtimeMs).toBe(before.image);
  });

  it('boots slot B when asked, which it fills', async () => {
    const { ended, output } = await session([...command, '--slot', 'B', '--smp', '1', '--mem', '256MiB']);
    expect(await ended).toBe(0);
    expect(output()).toMatch(/^flatracoon: ready .*slot=B/m);
  });

  it('starts kernel and bundle directly', async () => {
    const { ended, output } = await session([...command, '--direct']);
    expect(await ended).toBe(0);
    expect(output()).not.toContain('BdsDxe');
  });

  it('checks signatures when asked', async () => {
    const { ended, output } = await session([...command, '--secure-boot']);
    expect(await ended).toBe(0);
    expect(output()).toMatch(/secure-boot=on/);
  });

  it('counts instructions', async () => {
    const { ended, output } = await session([...command, '--icount', '--direct']);
    expect(await ended).toBe(0);
    expect(output()).toMatch(/^flatracoon: ready /m);
  });

  it('ends with 1 and the whole story when the system is not ready in time', async () => {
    const { ended, output } = await session([...command, '--timeout', '1s']);
    expect(await ended).toBe(1);
    expect(output()).toMatch(/waited for .*ready.* it did not come/);
    expect(output()).toContain('qemu-system-x86_64');
  });

  it('ends with 2 for a wrong option', async () => {
    const { ended, output } = await session([...command, '--slot', 'C']);
    expect(await ended).toBe(2);
    expect(output()).toContain('--slot C is not one of A, B');
  });

  it('leaves nothing when it is interrupted', async () => {
    const before = { emulators: emulators(), folders: folders() };
    const run = await session([...command, '--stay']);
    await run.until(/loader: /, bootMs);
    run.child.kill('SIGINT');
    await run.ended;
    await goneWithin(5_000, before.emulators);
    expect(folders()).toEqual(before.folders);
  });

  it('takes the emulator with it when it is killed, and the next one sweeps its files', async () => {
    const before = emulators();
    const run = await session([...command, '--stay']);
    await run.until(/loader: /, bootMs);
    run.child.kill('SIGKILL');
    await run.ended;
    await goneWithin(5_000, before);
    const left = folders().filter((name) => name.includes(`-${run.child.pid}-`));
    done?.();
    const next = await session(command);
    await next.until(/loader: /, bootMs);
    for (const name of left) expect(existsSync(join(tmpdir(), name))).toBe(false);
    next.child.kill('SIGTERM');
    await next.ended;
  });
});

describe('run-qemu on a terminal', () => {
  it.each([
    ['Ctrl-C', '\x03'],
    ['Ctrl-]', '\x1d'],
    ['Ctrl-A x', '\x01x'],
  ])('is left by %s', async (_, keys) => {
    const before = { emulators: emulators(), folders: folders() };
    const run = await onTerminal();
    await run.until(/loader: /, bootMs);
    run.child.stdin!.write(keys, 'latin1');
    expect(await run.ended).toBe(0);
    await goneWithin(5_000, before.emulators);
    expect(folders()).toEqual(before.folders);
  });
});

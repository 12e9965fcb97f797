// SPDX-License-Identifier: PMPL-1.0-or-later
// The command as a person uses it: on a terminal, in a pipe, left by a key, interrupted, killed. Nothing stays behind.
// Each test has a folder for temporary files of its own, so that it sees its own and no other's.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test as base, describe, expect } from 'vitest';
import { artifactsOf } from '../../build/src/testing.ts';
import { root } from '../support/root.ts';
import { machineTurn } from '../support/turns.ts';

const command = [process.execPath, join(root, 'build/dist/run.js'), 'run-qemu', '--no-build'];

interface Session {
  readonly child: ChildProcess;
  output(): string;
  until(pattern: RegExp, timeoutMs: number): Promise<void>;
  readonly ended: Promise<number | NodeJS.Signals>;
}

interface Person {
  /** Types a command. */
  types(words: readonly string[]): Promise<Session>;
  /** Types `run-qemu` with options on a terminal. */
  typesOnTerminal(...options: string[]): Promise<Session>;
  /** Temporary files and emulators of these commands. */
  leftovers(): string[];
}

const it = base.extend<{ person: Person }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  person: async ({}, use) => {
    // Short, since sockets are in it.
    const folder = mkdtempSync('/tmp/fr-');
    const sessions: Session[] = [];
    const types = async (words: readonly string[]): Promise<Session> => {
      const done = await machineTurn();
      const session = start(words, { ...process.env, TMPDIR: folder });
      void session.ended.then(done);
      sessions.push(session);
      return session;
    };
    await use({
      types,
      typesOnTerminal: (...options) => types(['script', '-qefc', [...command, ...options].join(' '), '/dev/null']),
      leftovers: () => [...readdirSync(folder), ...emulatorsIn(folder)],
    });
    for (const { child } of sessions) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  },
});

function start(words: readonly string[], env: NodeJS.ProcessEnv): Session {
  const [program, ...args] = words;
  const child = spawn(program!, args, { cwd: root, stdio: 'pipe', env });
  let text = '';
  const wake = new Set<() => void>();
  const collect = (chunk: Buffer) => {
    text += chunk.toString('latin1');
    for (const one of wake) one();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal!));
  });
  const until = (pattern: RegExp, timeoutMs: number) =>
    new Promise<void>((resolve, reject) => {
      const give = (error?: Error) => {
        clearTimeout(timer);
        wake.delete(look);
        if (error === undefined) resolve();
        else reject(error);
      };
      const look = () => void (pattern.test(text) && give());
      const timer = setTimeout(
        () => give(new Error(`waited for ${pattern}; the command said:\n${text.slice(-3_000)}`)),
        timeoutMs,
      );
      wake.add(look);
      void ended.then((code) => give(new Error(`ended with ${code} before ${pattern}:\n${text.slice(-3_000)}`)));
      look();
    });
  return { child, output: () => text, ended, until };
}

/** Command lines of emulators that use a folder. */
function emulatorsIn(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((line) => line.startsWith('qemu-system') && line.includes(folder));
}

const bootMs = 180_000;
const ready = /^flatracoon: ready /m;

/** Looks until `look` gives nothing; its last answer if it never does. (vitest's own poll does not know which concurrent test asks.) */
async function becomesNothing(look: () => readonly string[]): Promise<void> {
  const limit = performance.now() + 10_000;
  while (look().length > 0 && performance.now() < limit) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(look()).toEqual([]);
}

const nothing = (person: Person) => becomesNothing(() => person.leftovers());

async function endsWell(session: Session): Promise<string> {
  const code = await session.ended;
  expect(code, session.output().slice(-3_000)).toBe(0);
  return session.output();
}

describe.concurrent('run-qemu without a terminal', () => {
  it('streams the console until the system is ready, ends well and leaves the image as it was', async ({ person }) => {
    const image = () => statSync(artifactsOf(root, 'dev').image).mtimeMs;
    const before = image();
    expect(await endsWell(await person.types(command))).toMatch(/^flatracoon: ready .*slot=A/m);
    await nothing(person);
    expect(image()).toBe(before);
  });

  it('boots slot B when asked, which it fills', async ({ person }) => {
    const session = await person.types([...command, '--slot', 'B', '--smp', '1', '--mem', '256MiB']);
    expect(await endsWell(session)).toMatch(/^flatracoon: ready .*slot=B/m);
  });

  it('checks signatures when asked', async ({ person }) => {
    expect(await endsWell(await person.types([...command, '--secure-boot', '--smp', '1']))).toMatch(/secure-boot=on/);
  });

  it('starts kernel and bundle directly', async ({ person }) => {
    const output = await endsWell(await person.types([...command, '--direct']));
    expect(output).toMatch(ready);
    expect(output).not.toContain('BdsDxe');
  });

  it('counts instructions', async ({ person }) => {
    expect(await endsWell(await person.types([...command, '--icount', '--direct']))).toMatch(ready);
  });

  it('waits for a debugger before the first instruction', async ({ person }) => {
    const session = await person.types([...command, '--direct', '--gdb', '--gdb-port', '31234', '--timeout', '3s']);
    expect(await session.ended).toBe(1);
    expect(session.output()).toContain('target remote 127.0.0.1:31234');
    expect(session.output()).toContain('the console said nothing');
  });

  it('ends with 1 and the whole story when the system is not ready in time', async ({ person }) => {
    const session = await person.types([...command, '--timeout', '1s']);
    expect(await session.ended).toBe(1);
    expect(session.output()).toMatch(/waited for .*ready.* it did not come/);
    expect(session.output()).toContain('qemu-system-x86_64');
  });

  it('ends with 2 for a wrong option', async ({ person }) => {
    const session = await person.types([...command, '--slot', 'C']);
    expect(await session.ended).toBe(2);
    expect(session.output()).toContain('--slot C is not one of A, B');
  });

  it('leaves nothing when it is interrupted', async ({ person }) => {
    const session = await person.types([...command, '--stay', '--direct']);
    await session.until(ready, bootMs);
    session.child.kill('SIGINT');
    await session.ended;
    await nothing(person);
  });

  it('takes the emulator with it when it is killed, and the next one sweeps its files', async ({ person }) => {
    const session = await person.types([...command, '--stay', '--direct']);
    await session.until(ready, bootMs);
    session.child.kill('SIGKILL');
    await session.ended;
    await becomesNothing(() => person.leftovers().filter((one) => one.startsWith('qemu')));
    expect(person.leftovers()).toHaveLength(2);
    await endsWell(await person.types([...command, '--direct']));
    await nothing(person);
  });
});

describe.concurrent('run-qemu on a terminal', () => {
  it.for([
    ['Ctrl-C', '\x03'],
    ['Ctrl-]', '\x1d'],
    ['Ctrl-A x', '\x01x'],
  ] as const)('is left by %s', async ([, keys], { person }) => {
    const session = await person.typesOnTerminal('--direct');
    await session.until(ready, bootMs);
    session.child.stdin!.write(keys, 'latin1');
    await endsWell(session);
    await nothing(person);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// The emulator's control socket: JSON lines, a greeting, commands with ids, events at any time.
// Speaks the public QMP specification; the commands that we need are methods of `machine.ts`.
import { connect, type Socket } from 'node:net';

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The emulator refused a command. `kind` is its error class. */
export class QmpError extends Error {
  readonly kind: string;

  constructor(command: string, kind: string, description: string) {
    super(`qmp ${command}: ${description}`);
    this.name = 'QmpError';
    this.kind = kind;
  }
}

interface Pending {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Qmp {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #onEvent: (event: QmpEvent) => void;
  #greeted: (() => void) | undefined;
  #rest = '';
  #lastId = 0;
  #closed = false;

  private constructor(socket: Socket, onEvent: (event: QmpEvent) => void) {
    this.#socket = socket;
    this.#onEvent = onEvent;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#feed(text));
    socket.on('error', () => this.close());
    socket.on('close', () => this.close());
  }

  /** Connects, takes the greeting and negotiates. Tries again until `timeoutMs` while the socket is not there yet. */
  static async connect(
    path: string,
    options: { readonly timeoutMs: number; readonly onEvent?: (event: QmpEvent) => void },
  ): Promise<Qmp> {
    const limit = performance.now() + options.timeoutMs;
    const qmp = new Qmp(await socketAt(path, limit), options.onEvent ?? (() => undefined));
    await qmp.#greeting(limit);
    await qmp.execute('qmp_capabilities');
    return qmp;
  }

  /** Errors: `QmpError` when the emulator refuses, `Error` when it is gone before it answered. */
  execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (this.#closed) return Promise.reject(new QmpError(command, 'Closed', 'the emulator is gone'));
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { command, resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
    for (const { command, reject } of this.#pending.values()) reject(new QmpError(command, 'Closed', 'the emulator is gone'));
    this.#pending.clear();
  }

  #greeting(limit: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('qmp: no greeting')), Math.max(1, limit - performance.now()));
      this.#greeted = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #feed(text: string): void {
    const parts = (this.#rest + text).split('\n');
    this.#rest = parts.pop() ?? '';
    for (const part of parts) if (part.trim() !== '') this.#message(JSON.parse(part) as Record<string, unknown>);
  }

  #message(message: Record<string, unknown>): void {
    if ('QMP' in message) this.#greeted?.();
    else if (typeof message.event === 'string')
      this.#onEvent({ event: message.event, data: (message.data ?? {}) as QmpEvent['data'] });
    else this.#answer(message);
  }

  #answer(message: Record<string, unknown>): void {
    const pending = this.#pending.get(message.id as number);
    if (pending === undefined) return;
    this.#pending.delete(message.id as number);
    if ('return' in message) {
      pending.resolve(message.return);
      return;
    }
    const error = (message.error ?? {}) as { readonly class?: string; readonly desc?: string };
    pending.reject(new QmpError(pending.command, error.class ?? 'unknown', error.desc ?? 'no reason given'));
  }
}

/** A connected socket. The emulator makes the path a moment after it starts. */
async function socketAt(path: string, limit: number): Promise<Socket> {
  for (;;) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect(path);
        socket.once('connect', () => resolve(socket));
        socket.once('error', reject);
      });
    } catch (error) {
      if (performance.now() > limit) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// A running machine: its console, its control socket, and the ways in which it ends. `start.ts` makes one.
// Its disks and firmware are made before (`disk.ts`, `firmware.ts`) and outlive it.
import type { ProgramEnd, RunningProgram } from '../toolchain/qemu.ts';
import type { Console } from './console.ts';
import type { Qmp, QmpEvent } from './qmp.ts';

/** What `start.ts` hands over. */
export interface MachineParts {
  readonly name: string;
  readonly console: Console;
  readonly command: string;
  readonly logPath: string | undefined;
  readonly program: RunningProgram;
  readonly qmp: Qmp;
  /** Frees the machine's files; called once it is dead. */
  readonly release: () => void;
}

export class Machine {
  readonly name: string;
  readonly console: Console;
  /** The emulator's command, ready to paste. */
  readonly command: string;
  readonly logPath: string | undefined;
  /** Settles when the emulator is gone, however that came. */
  readonly ended: Promise<ProgramEnd>;
  readonly #program: RunningProgram;
  readonly #qmp: Qmp;
  readonly #events: QmpEvent[] = [];
  readonly #eventWaiters = new Set<(event: QmpEvent) => void>();
  readonly #release: () => void;

  constructor(parts: MachineParts) {
    this.name = parts.name;
    this.console = parts.console;
    this.command = parts.command;
    this.logPath = parts.logPath;
    this.#program = parts.program;
    this.#qmp = parts.qmp;
    this.#release = parts.release;
    this.ended = parts.program.ended;
  }

  pause(): Promise<unknown> {
    return this.#qmp.execute('stop');
  }

  resume(): Promise<unknown> {
    return this.#qmp.execute('cont');
  }

  /** Presses the reset button. */
  reset(): Promise<unknown> {
    return this.#qmp.execute('system_reset');
  }

  /** `running`, `paused`, `io-error`, `shutdown` and so on, in the emulator's words. */
  async status(): Promise<string> {
    return ((await this.#qmp.execute('query-status')) as { status: string }).status;
  }

  /** Saves the screen as a PPM file. */
  screenshot(path: string): Promise<unknown> {
    return this.#qmp.execute('screendump', { filename: path });
  }

  /** Any other command of the control protocol. */
  control(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return this.#qmp.execute(command, args);
  }

  /** Power goes now: nothing that the emulator still holds is written. */
  async powerCut(): Promise<void> {
    this.console.note('power cut');
    await this.#stop();
  }

  /** The guest goes now, but what it has written is on the disk: for looking at the disk afterwards. */
  async quit(): Promise<void> {
    this.console.note('quit');
    await this.#qmp.execute('quit').catch(() => undefined);
    await this.ended;
    await this.#stop();
  }

  /** Waits until the machine froze before the write that its disk's `writeFault` forbids. */
  async frozenByWrite(timeoutMs: number): Promise<void> {
    await this.event('BLOCK_IO_ERROR', timeoutMs);
    if ((await this.status()) === 'running') await this.event('STOP', timeoutMs);
  }

  /** The first event of this name, also one of the past. Errors: `MachineFailure` when it does not come. */
  event(name: string, timeoutMs: number): Promise<QmpEvent> {
    const past = this.#events.find((event) => event.event === name);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        this.#eventWaiters.delete(waiter);
      };
      const waiter = (event: QmpEvent) => {
        if (event.event !== name) return;
        done();
        resolve(event);
      };
      const give = (how: string) => {
        done();
        reject(this.console.failure(how));
      };
      const timer = setTimeout(() => give(`waited for the event ${name} for ${timeoutMs} ms; it did not come`), timeoutMs);
      void this.ended.then(() => give(`waited for the event ${name}; the machine ended`));
      this.#eventWaiters.add(waiter);
    });
  }

  /** Ends it, frees its files, and throws if a bad sign was seen that nobody has been told of. */
  async close(): Promise<void> {
    await this.#stop();
    this.console.check();
  }

  async #stop(): Promise<void> {
    this.#program.kill();
    await this.ended;
    this.#qmp.close();
    this.#release();
  }

  /** From the control socket; `start.ts` calls it. */
  deliver(event: QmpEvent): void {
    this.#events.push(event);
    for (const waiter of [...this.#eventWaiters]) waiter(event);
  }
}

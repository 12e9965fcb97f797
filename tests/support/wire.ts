// SPDX-License-Identifier: PMPL-1.0-or-later
// The cable of a guest: a test hears every frame on it, says its own, and makes it lossy. A second end may be plugged in.
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { guestMac, type Packet, packetOf } from './frames.ts';

export interface Fault {
  /** Part of the frames that is lost, each direction. */
  readonly loss: number;
  /** Part of the frames that is held back until two more have passed. */
  readonly reorder: number;
  readonly seed: number;
}

/** One plug: a socket that the emulator connects to. Frames come behind their length in four bytes. */
class End {
  readonly server: Server;
  onFrame: (frame: Buffer) => void = () => undefined;
  #socket: Socket | undefined;
  #rest = Buffer.alloc(0);

  constructor() {
    this.server = createServer((socket) => {
      this.#socket = socket;
      this.#rest = Buffer.alloc(0);
      socket.on('data', (bytes: Buffer) => this.#take(bytes));
      socket.on('error', () => undefined);
    });
  }

  send(frame: Buffer): void {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frame.length);
    this.#socket?.write(Buffer.concat([length, frame]));
  }

  close(): void {
    this.#socket?.destroy();
    this.server.close();
  }

  #take(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (this.#rest.length - at >= 4) {
      const length = this.#rest.readUInt32BE(at);
      if (this.#rest.length - at - 4 < length) break;
      this.onFrame(Buffer.from(this.#rest.subarray(at + 4, at + 4 + length)));
      at += 4 + length;
    }
    this.#rest = this.#rest.subarray(at);
  }
}

export class Wire {
  readonly guest: { readonly socket: string; readonly address: string };
  readonly otherSocket: string;
  /** Frames that the guest sent, while nobody waited for them too. */
  readonly heard: Buffer[] = [];
  fault: Fault | undefined;
  lost = 0;
  /** Nothing passes. */
  isCut = false;
  readonly #guestEnd = new End();
  readonly #otherEnd = new End();
  readonly #listeners = new Set<(packet: Packet, frame: Buffer) => void>();
  readonly #held: { to: End; frame: Buffer; after: number }[] = [];
  #random = 1;

  private constructor(folder: string) {
    this.guest = { socket: join(folder, 'guest.sock'), address: guestMac };
    this.otherSocket = join(folder, 'other.sock');
    this.#guestEnd.onFrame = (frame) => {
      this.#hear(frame);
      this.#pass(this.#otherEnd, frame);
    };
    this.#otherEnd.onFrame = (frame) => this.#pass(this.#guestEnd, frame);
  }

  static async lay(folder: string): Promise<Wire> {
    const wire = new Wire(folder);
    const listen = (end: End, path: string) => new Promise<void>((resolve) => end.server.listen(path, resolve));
    await Promise.all([listen(wire.#guestEnd, wire.guest.socket), listen(wire.#otherEnd, wire.otherSocket)]);
    return wire;
  }

  close(): void {
    this.#guestEnd.close();
    this.#otherEnd.close();
  }

  /** Says a frame to the guest, whatever the faults. */
  say(...frames: readonly Buffer[]): void {
    for (const frame of frames) this.#guestEnd.send(frame);
  }

  /** The first packet from now on that is looked for. Errors: when it did not come in time. */
  hears<T>(what: string, look: (packet: Packet) => T | undefined, timeoutMs = 10_000): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
      };
      const listener = (packet: Packet) => {
        const found = look(packet);
        if (found === undefined) return;
        done();
        resolve(found);
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`${what} was not heard within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#listeners.add(listener);
    });
  }

  #hear(frame: Buffer): void {
    const packet = packetOf(frame);
    if (packet !== undefined) for (const listener of [...this.#listeners]) listener(packet, frame);
  }

  #pass(to: End, frame: Buffer): void {
    if (this.isCut) return;
    if (this.fault === undefined) {
      to.send(frame);
      return;
    }
    for (const one of this.#held) one.after -= 1;
    if (this.#chance() < this.fault.loss) this.lost += 1;
    else if (this.#chance() < this.fault.reorder) this.#held.push({ to, frame, after: 2 });
    else to.send(frame);
    for (const one of this.#held.filter((held) => held.after <= 0)) one.to.send(one.frame);
    this.#held.splice(0, this.#held.length, ...this.#held.filter((held) => held.after > 0));
  }

  /** Numbers from 0 to 1, the same for the same seed. */
  #chance(): number {
    if (this.#random === 1) this.#random = this.fault?.seed ?? 2;
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#random / 2 ** 32;
  }
}

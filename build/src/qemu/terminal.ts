// SPDX-License-Identifier: PMPL-1.0-or-later
// Joins a person's terminal to a machine's console: keys go to the guest as they are, but for those that leave.
// `leaveKeys` is pure; `joinTerminal` puts the terminal into raw mode and always gives it back.
import type { ReadStream } from 'node:tty';

/** Shown before the guest's first line. */
export const leaveHelp = 'Ctrl-C, Ctrl-] or Ctrl-A x leaves; Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A c sends Ctrl-C';

const ctrlA = 0x01;
const ctrlC = 0x03;
const ctrlBracket = 0x1d;

export interface KeyReader {
  /** Bytes for the guest, and whether a key asked to leave. Bytes after that key are dropped. */
  read(keys: Uint8Array): { readonly forGuest: Uint8Array; readonly leave: boolean };
}

/** Remembers a Ctrl-A whose second key has not come yet. */
export function leaveKeys(): KeyReader {
  let prefixed = false;
  return {
    read(keys) {
      const forGuest: number[] = [];
      for (const key of keys) {
        if (prefixed) {
          prefixed = false;
          if (key === 0x78 || key === 0x58) return { forGuest: Uint8Array.from(forGuest), leave: true };
          if (key === 0x63 || key === 0x43) forGuest.push(ctrlC);
          else if (key === ctrlA) forGuest.push(ctrlA);
          else forGuest.push(ctrlA, key);
        } else if (key === ctrlA) prefixed = true;
        else if (key === ctrlC || key === ctrlBracket) return { forGuest: Uint8Array.from(forGuest), leave: true };
        else forGuest.push(key);
      }
      return { forGuest: Uint8Array.from(forGuest), leave: false };
    },
  };
}

/** Sends keys to `toGuest` until a key asks to leave, then calls `onLeave`. The result gives the terminal back. */
export function joinTerminal(terminal: ReadStream, toGuest: (bytes: Uint8Array) => void, onLeave: () => void): () => void {
  const reader = leaveKeys();
  const onKeys = (keys: Buffer) => {
    const { forGuest, leave } = reader.read(keys);
    if (forGuest.byteLength > 0) toGuest(forGuest);
    if (leave) onLeave();
  };
  terminal.setRawMode(true);
  terminal.on('data', onKeys);
  terminal.resume();
  return () => {
    terminal.off('data', onKeys);
    terminal.setRawMode(false);
    terminal.pause();
  };
}

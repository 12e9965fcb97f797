// SPDX-License-Identifier: PMPL-1.0-or-later
// Temporary folders of the harness, and the promise that none remains: removed when closed, when we exit, on a signal;
// and what a killed process left is removed by the next one. Nothing else registers for signals in the harness.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const prefix = 'flatracoon-qemu-';
/** A unix socket's path may have 107 bytes (unix(7)); this leaves room for the file's name. */
const longestFolder = 80;

const atExit = new Set<() => void>();
let watching = false;

/** `undo` runs when the process ends by any means that it can notice, unless it was taken back by calling the result. */
export function onProcessEnd(undo: () => void): () => void {
  watch();
  atExit.add(undo);
  return () => void atExit.delete(undo);
}

/** A new empty folder with a short path, and the function that removes it with all its content. */
export function temporaryFolder(): { readonly path: string; readonly remove: () => void } {
  watch();
  const parent = tmpdir().length > longestFolder - prefix.length - 16 ? '/tmp' : tmpdir();
  const path = mkdtempSync(join(parent, `${prefix}${process.pid}-`));
  const forget = onProcessEnd(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    remove() {
      forget();
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function watch(): void {
  if (watching) return;
  watching = true;
  sweep();
  process.once('exit', runAll);
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const) {
    process.on(signal, () => {
      runAll();
      // With nobody else listening we took the default action away, so we do it.
      if (process.listenerCount(signal) === 1) process.exit(128 + number);
    });
  }
}

function runAll(): void {
  // The newest first: a machine is ended before its folder goes.
  for (const undo of [...atExit].reverse()) {
    try {
      undo();
    } catch {
      // One that fails must not keep the others; there is nobody left to tell.
    }
  }
  atExit.clear();
}

/** Folders of processes that no longer live. */
function sweep(): void {
  for (const parent of new Set([tmpdir(), '/tmp'])) {
    if (!existsSync(parent)) continue;
    for (const name of readdirSync(parent)) {
      const pid = new RegExp(`^${prefix}([0-9]+)-`).exec(name)?.[1];
      if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
      try {
        rmSync(join(parent, name), { recursive: true, force: true });
      } catch {
        // Another user's. It is theirs to remove.
      }
    }
  }
}

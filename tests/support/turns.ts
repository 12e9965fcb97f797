// SPDX-License-Identifier: PMPL-1.0-or-later
// At most as many guests at a time as the host has CPUs for: more would only make each other late.
import { availableParallelism } from 'node:os';

const limit = Math.max(1, Math.min(4, availableParallelism()));
const waiting: (() => void)[] = [];
let running = 0;

/** Waits for a turn; the result gives it back, once. */
export async function machineTurn(): Promise<() => void> {
  if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  let over = false;
  return () => {
    if (over) return;
    over = true;
    const next = waiting.shift();
    // A turn that is handed on keeps its place in the count.
    if (next === undefined) running -= 1;
    else next();
  };
}

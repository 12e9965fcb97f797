// SPDX-License-Identifier: PMPL-1.0-or-later
// Process groups: each program that we start leads one, so that ending it ends what it started. Cargo, for one, does not end its
// compilers. Whatever way we go ourselves, groups that still run go with us (all but a SIGKILL of ours, which nobody can see coming).

const alive = new Set<number>();
/** After the polite signal; rustc and qemu need well under a second. */
const patienceMs = 3_000;

/** Call when a group's leader has started. Returns what to call when it has ended. */
export function watchGroup(leader: number): () => void {
  if (alive.size === 0) process.once('exit', killAll);
  alive.add(leader);
  return () => {
    alive.delete(leader);
    if (alive.size === 0) process.off('exit', killAll);
  };
}

/** SIGTERM to all of the group, and SIGKILL to what remains of it after a while. */
export function endGroup(leader: number): void {
  signalGroup(leader, 'SIGTERM');
  setTimeout(() => signalGroup(leader, 'SIGKILL'), patienceMs).unref();
}

function killAll(): void {
  for (const leader of alive) signalGroup(leader, 'SIGKILL');
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    // ESRCH: nobody is left in it.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

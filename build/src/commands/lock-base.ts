// SPDX-License-Identifier: PMPL-1.0-or-later
// `lock-base`: asks apt for the newest packages of configs/base.ncl with their dependencies, and writes configs/base.lock.json.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Lock, lockFile, makeLock, parseLock } from '../base/lock.ts';
import { loadConfig } from '../config/load.ts';
import type { Command } from './command.ts';
import { table } from './table.ts';

export const command: Command = {
  usage: '',
  help: `Resolves the packages that configs/base.ncl names, with apt and this machine's own package sources, and writes the answer to
configs/base.lock.json: name, version, architecture, size and sha256 of each. Needs no root and installs nothing. Commit the file: a build takes
exactly these packages. Prints what changed.`,
  async run({ root, log, print, signal }) {
    const { base } = await loadConfig(root, { signal });
    const before = await readFile(join(root, lockFile), 'utf8').then(parseLock, () => undefined);
    const folder = await mkdtemp(join(tmpdir(), 'flatracoon-apt-'));
    try {
      const lock = await makeLock(root, base, { folder, signal, onLine: (line) => log.event('apt', { line }) });
      const changes = changesOf(before, lock);
      log.event('locked', { file: lockFile, changes });
      const count = Object.values(lock.groups).flat().length;
      if (changes.length > 0) print(table(['group', 'package', 'was', 'is'], changes));
      print(`${lockFile}: ${count} packages, ${changes.length} changed`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    return undefined;
  },
};

function changesOf(before: Lock | undefined, now: Lock): string[][] {
  const rows = (lock: Lock | undefined) =>
    new Map(
      Object.entries(lock?.groups ?? {}).flatMap(([group, list]) =>
        list.map((one) => [`${group} ${one.name}`, { group, name: one.name, version: one.version, sha256: one.sha256 }] as const),
      ),
    );
  const [olds, news] = [rows(before), rows(now)];
  return [...new Set([...olds.keys(), ...news.keys()])].sort().flatMap((key) => {
    const [old, one] = [olds.get(key), news.get(key)];
    if (old?.sha256 === one?.sha256) return [];
    return [[old?.group ?? one?.group ?? '', old?.name ?? one?.name ?? '', old?.version ?? '-', one?.version ?? '-']];
  });
}

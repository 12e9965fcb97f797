#!/usr/bin/env node
// SPDX-License-Identifier: PMPL-1.0-or-later
// Makes package-lock.json from package.json: `node scripts/lock-packages.mjs`. Two things differ from `npm install`:
// no entry holds a download address, so that any registry can serve it (the digests stay), and an optional package for another
// platform that the registry at hand does not serve gets an entry without a digest, since `npm ci` refuses a lock that lacks it.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'lock-packages-'));
try {
  copyFileSync(join(root, 'package.json'), join(scratch, 'package.json'));
  const flags = ['--package-lock-only', '--omit-lockfile-registry-resolved=false', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['install', ...flags], { cwd: scratch, stdio: ['ignore', 'inherit', 'inherit'] });
  const lock = JSON.parse(readFileSync(join(scratch, 'package-lock.json'), 'utf8'));
  for (const entry of Object.values(lock.packages)) delete entry.resolved;
  for (const [path, entry] of Object.entries(lock.packages)) addMissing(lock.packages, path, entry);
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(join(root, 'package-lock.json'), `${JSON.stringify(lock, null, 2)}\n`);
} finally {
  rmSync(scratch, { recursive: true });
}

function addMissing(packages, path, entry) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const nested = `${path}/node_modules/${name}`;
    const top = `node_modules/${name}`;
    if (packages[nested] !== undefined || packages[top] !== undefined) continue;
    const os = ['android', 'darwin', 'win32', 'windows', 'freebsd', 'openharmony', 'linux'].find((one) => name.includes(`-${one}`));
    const cpu = ['arm64', 'armv7', 'arm', 'loong64', 'riscv64', 'x64', 'ia32', 's390x', 'ppc64', 'wasm32'].find((one) => name.includes(`-${one}`));
    if (os === undefined) throw new Error(`${name} is not served, and its name tells no platform`);
    packages[top] = {
      version,
      ...(cpu === undefined ? {} : { cpu: [cpu === 'armv7' ? 'arm' : cpu] }),
      ...(path.startsWith('node_modules/') && entry.dev ? { dev: true } : {}),
      ...(name.endsWith('-musl') ? { libc: ['musl'] } : {}),
      optional: true,
      os: [os === 'windows' ? 'win32' : os],
    };
  }
}

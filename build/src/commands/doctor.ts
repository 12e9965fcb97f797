// SPDX-License-Identifier: PMPL-1.0-or-later
// `doctor`: which tools this machine has, which were chosen and why, what is missing, and the command that mends it.
// Judges versions by what the project was tried with; changes nothing.
import { existsSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import { keyFolder } from '../keys/index.ts';
import { findFirmware } from '../qemu/firmware.ts';
import { rustToolchain } from '../toolchain/host.ts';
import { nickelVersion } from '../toolchain/nickel.ts';
import { judge, type Tool, tools } from '../toolchain/requirements.ts';
import { atLeast } from '../toolchain/version.ts';
import { roughSize } from '../units.ts';
import type { Command } from './command.ts';
import { table } from './table.ts';

interface Finding {
  readonly name: string;
  readonly found: string;
  readonly state: 'good' | 'missing' | 'too old' | 'note';
  /** What to do; empty when nothing is. */
  readonly mend: string;
}

export const command: Command = {
  usage: '',
  help: `Says which Rust and which Nickel were chosen and why, the version of every tool, what is missing and the command that mends it.
Ends with 2 when something that a build needs is missing or too old.`,
  async run({ root, json, log, print }) {
    const findings = [
      ...(await machine(root)),
      rust(root),
      nickel(root),
      firmware(),
      keys(),
      ...(await Promise.all(tools.map(tool))),
    ];
    if (json) log.event('doctor', { findings });
    else {
      print(
        table(
          ['', 'what', 'found'],
          findings.map((one) => [mark(one), one.name, one.found]),
        ),
      );
      const mends = findings.filter((one) => one.mend !== '');
      print(mends.length === 0 ? '\nnothing is missing' : '\nto mend:');
      for (const one of mends) print(`  ${one.name} (${one.state}): ${one.mend}`);
    }
    return findings.some((one) => one.state === 'missing' || one.state === 'too old') ? 2 : 0;
  },
};

async function machine(root: string): Promise<Finding[]> {
  const disk = await statfs(root);
  const free = disk.bavail * disk.bsize;
  const system = /^PRETTY_NAME="?([^"\n]*)/m.exec(
    existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '',
  )?.[1];
  const node = process.versions.node;
  return [
    {
      name: 'system',
      found: `${system ?? process.platform}, ${availableParallelism()} CPUs, ${roughSize(freemem())} of ${roughSize(totalmem())} free`,
      state: 'good',
      mend: '',
    },
    {
      name: 'disk',
      found: `${roughSize(free)} free`,
      ...(free < 4 * 2 ** 30
        ? { state: 'note' as const, mend: 'a cold build writes about 3 GiB: free some space, or `just clean`' }
        : { state: 'good' as const, mend: '' }),
    },
    {
      name: 'node',
      found: node,
      ...(atLeast(node, '20.19')
        ? { state: 'good' as const, mend: '' }
        : { state: 'too old' as const, mend: 'install Node 20.19 or newer' }),
    },
    {
      name: 'npm packages',
      ...(existsSync(join(root, 'node_modules/.package-lock.json'))
        ? { found: 'as package-lock.json', state: 'good' as const, mend: '' }
        : { found: 'none', state: 'missing' as const, mend: 'scripts/bootstrap.sh' }),
    },
  ];
}

function rust(root: string): Finding {
  try {
    const { version, kind, why, cargo } = rustToolchain(root);
    return {
      name: 'Rust',
      found: `${version}\n${' '.repeat(12)}${cargo}, chosen because ${why} (${kind})`,
      state: 'good',
      mend: '',
    };
  } catch (error) {
    return {
      name: 'Rust',
      found: error instanceof Error ? error.message : 'none',
      state: 'missing',
      mend: 'scripts/bootstrap.sh',
    };
  }
}

function nickel(root: string): Finding {
  const found = nickelVersion(root);
  return {
    name: 'Nickel',
    found,
    ...(found === 'not set up'
      ? { state: 'missing' as const, mend: 'scripts/bootstrap.sh' }
      : { state: 'good' as const, mend: '' }),
  };
}

function firmware(): Finding {
  try {
    return { name: 'UEFI firmware', found: findFirmware().code, state: 'good', mend: '' };
  } catch {
    return { name: 'UEFI firmware', found: 'none', state: 'missing', mend: 'apt-get install ovmf' };
  }
}

function keys(): Finding {
  const folder = keyFolder();
  return existsSync(folder)
    ? { name: 'development keys', found: folder, state: 'good', mend: '' }
    : { name: 'development keys', found: 'none yet; the first build makes them', state: 'good', mend: '' };
}

async function tool(one: Tool): Promise<Finding> {
  const { state, found, mend } = await judge(one);
  const name = one.for === 'build' || one.for === 'run' ? one.program : `${one.program} (${one.for})`;
  return { name, found, state, mend };
}

function mark(one: Finding): string {
  return { good: 'ok', note: '!', missing: 'MISSING', 'too old': 'TOO OLD' }[one.state];
}

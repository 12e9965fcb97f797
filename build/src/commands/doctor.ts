// SPDX-License-Identifier: PMPL-1.0-or-later
// `doctor`: which tools this machine has, which were chosen and why, what is missing, and the command that mends it.
// Judges versions by what the project was tried with; changes nothing.
import { existsSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import { keyFolder } from '../keys/index.ts';
import { findFirmware } from '../qemu/firmware.ts';
import { versionOf } from '../toolchain/exec.ts';
import { rustToolchain } from '../toolchain/host.ts';
import { nickelVersion } from '../toolchain/nickel.ts';
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

interface Tool {
  readonly program: string;
  readonly debian: string;
  readonly args?: readonly string[];
  /** Older ones lack what we call. */
  readonly least?: string;
  /** Builds do without; tests or pictures need it. */
  readonly for?: string;
}

const tools: readonly Tool[] = [
  { program: 'git', debian: 'git', least: '2.30' },
  { program: 'qemu-system-x86_64', debian: 'qemu-system-x86', least: '7.2' },
  { program: 'qemu-img', debian: 'qemu-utils', least: '7.2' },
  { program: 'mkfs.fat', debian: 'dosfstools', args: ['--help'], least: '4.2' },
  { program: 'mcopy', debian: 'mtools', least: '4.0.27' },
  { program: 'gcc', debian: 'gcc' },
  { program: 'openssl', debian: 'openssl', args: ['version'], for: 'tests' },
  { program: 'sgdisk', debian: 'gdisk', for: 'tests' },
  { program: 'fsck.erofs', debian: 'erofs-utils', args: ['-V'], for: 'tests' },
  { program: 'veritysetup', debian: 'cryptsetup-bin', for: 'tests' },
  { program: 'ostree', debian: 'ostree', for: 'tests' },
  { program: 'sbverify', debian: 'sbsigntool', for: 'tests' },
  { program: 'swtpm', debian: 'swtpm', for: 'tests' },
  { program: 'virt-xml-validate', debian: 'libvirt-clients', for: 'tests' },
  { program: 'dot', debian: 'graphviz', args: ['-V'], for: '`just graph`' },
];

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

async function tool({ program, debian, args, least, for: purpose }: Tool): Promise<Finding> {
  const found = await versionOf(program, args);
  const name = purpose === undefined ? program : `${program} (${purpose})`;
  const mend = `scripts/bootstrap.sh, or apt-get install ${debian}`;
  if (found === undefined) return { name, found: 'not installed', state: 'missing', mend };
  if (least !== undefined && !atLeast(found, least))
    return { name, found, state: 'too old', mend: `${least} or newer is needed: ${mend}` };
  return { name, found, state: 'good', mend: '' };
}

function mark(one: Finding): string {
  return { good: 'ok', note: '!', missing: 'MISSING', 'too old': 'TOO OLD' }[one.state];
}

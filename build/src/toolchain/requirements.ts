// SPDX-License-Identifier: PMPL-1.0-or-later
// Which programs of the system we call, how old they may be, and who needs them. `doctor` tells about all of them; a build and a
// run refuse to begin with one that is missing or too old, since its output would differ or fail half way.
import { throwAll, UserError } from '../errors.ts';
import { versionOf } from './exec.ts';
import { atLeast } from './version.ts';

export interface Tool {
  readonly program: string;
  readonly debian: string;
  readonly args?: readonly string[];
  /** Older ones lack what we call. */
  readonly least?: string;
  /** Who calls it. */
  readonly for: 'build' | 'run' | 'tests' | '`just graph`';
}

export const tools: readonly Tool[] = [
  { program: 'git', debian: 'git', least: '2.30', for: 'build' },
  { program: 'qemu-system-x86_64', debian: 'qemu-system-x86', least: '7.2', for: 'run' },
  { program: 'qemu-img', debian: 'qemu-utils', least: '7.2', for: 'build' },
  { program: 'mkfs.fat', debian: 'dosfstools', args: ['--help'], least: '4.2', for: 'build' },
  { program: 'mcopy', debian: 'mtools', least: '4.0.27', for: 'build' },
  { program: 'gcc', debian: 'gcc', for: 'build' },
  { program: 'apt-get', debian: 'apt', least: '2.0', for: 'build' },
  { program: 'dpkg-deb', debian: 'dpkg', least: '1.20', for: 'build' },
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

export interface Judgement {
  readonly tool: Tool;
  readonly state: 'good' | 'missing' | 'too old';
  /** What it says of itself. */
  readonly found: string;
  /** What to do; empty when it is good. */
  readonly mend: string;
}

export async function judge(tool: Tool): Promise<Judgement> {
  const found = await versionOf(tool.program, tool.args);
  const mend = `scripts/bootstrap.sh, or apt-get install ${tool.debian}`;
  if (found === undefined) return { tool, state: 'missing', found: 'not installed', mend };
  if (tool.least !== undefined && !atLeast(found, tool.least))
    return { tool, state: 'too old', found, mend: `${tool.least} or newer is needed: ${mend}` };
  return { tool, state: 'good', found, mend: '' };
}

/**
 * Judges what a build, or a run, needs; all faults are told together.
 * Errors: `UserError`s `machine/program-missing` and `machine/program-too-old`.
 */
export async function requireTools(purpose: 'build' | 'run'): Promise<void> {
  const judged = await Promise.all(tools.filter((tool) => tool.for === purpose).map(judge));
  throwAll(judged.filter((one) => one.state !== 'good').map(fault));
}

function fault({ tool, state, found, mend }: Judgement): UserError {
  const hint = mend;
  return state === 'missing'
    ? new UserError(`the program \`${tool.program}\` is not installed`, { code: 'machine/program-missing', hint })
    : new UserError(`the program \`${tool.program}\` is too old: ${found}`, { code: 'machine/program-too-old', hint });
}

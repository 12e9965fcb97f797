// SPDX-License-Identifier: PMPL-1.0-or-later
// Where `unsafe` may stand, that each block says why it is sound, and the two counts that we keep an eye on: blocks and kernel lines.
import { readSource, sourceFiles } from './sources.ts';

const mayBeUnsafe = /^(kernel-rs\/(machine|boot|start)|servers-rs\/lib\/(sys|rt|mmio|dma))\//;
const block = /\bunsafe\s*(\{|impl\b|fn\b|extern\b)/;

export async function checkUnsafe(root: string): Promise<string[]> {
  const findings: string[] = [];
  for (const path of await rustFiles(root)) {
    const lines = (await readSource(root, path)).split('\n').map(withoutComment);
    lines.forEach(({ code, text }, n) => {
      if (!block.test(code)) return;
      if (!mayBeUnsafe.test(path))
        findings.push(`${path}:${n + 1} unsafe outside of machine, boot, start and lib/{sys,rt,mmio,dma}: ${text.trim()}`);
      else if (
        /\bunsafe\s*\{/.test(code) &&
        !explained(
          lines.map((line) => line.text),
          n,
        )
      )
        findings.push(`${path}:${n + 1} an unsafe block without a SAFETY comment`);
    });
  }
  return findings;
}

/** What can be read and argued about as a whole; a kernel beyond it has taken in what belongs into a server. */
const mostKernelLines = 12_000;

export interface Counts {
  readonly findings: readonly string[];
  readonly note: string;
}

/** Places with unsafe, and lines of the kernel without tests and comments, which may not be more than their budget. */
export async function counts(root: string): Promise<Counts> {
  let blocks = 0;
  let kernelLines = 0;
  for (const path of await rustFiles(root)) {
    const text = (await readSource(root, path)).replace(/^#\[cfg\(test\)\]\s*mod tests \{[\s\S]*/m, '');
    const code = text.split('\n').map((line) => withoutComment(line).code);
    blocks += code.filter((line) => block.test(line)).length;
    if (/^kernel-rs\/(abi|machine|kernel|start)\//.test(path) && !/_tests?\.rs$|\/hosted\//.test(path))
      kernelLines += code.filter((line) => line.trim() !== '').length;
  }
  const findings =
    kernelLines > mostKernelLines ? [`kernel-rs: ${kernelLines} lines of kernel, over the budget of ${mostKernelLines}`] : [];
  return { findings, note: `${blocks} places with unsafe, ${kernelLines} lines of kernel (budget ${mostKernelLines})` };
}

async function rustFiles(root: string): Promise<string[]> {
  const files = [...(await sourceFiles(root, 'kernel-rs')), ...(await sourceFiles(root, 'servers-rs'))];
  return files.filter((path) => path.endsWith('.rs') && !/\/(tests|benches|fuzz)\//.test(path.replace(/^servers-rs\/tests/, '')));
}

function withoutComment(line: string): { readonly code: string; readonly text: string } {
  return { code: line.replace(/\/\/.*$/, '').replace(/"(?:\\.|[^"\\])*"/g, '""'), text: line };
}

/** `SAFETY:` in the comment above, or on the same line; attributes and the start of the statement may stand between. */
function explained(lines: readonly string[], at: number): boolean {
  if (/SAFETY/.test(lines[at] ?? '')) return true;
  for (let n = at - 1, code = 0; n >= 0 && code < 4 && at - n < 25; n--) {
    const line = (lines[n] ?? '').trim();
    if (/SAFETY|# Safety/.test(line)) return true;
    if (!line.startsWith('//') && !line.startsWith('#[')) code += 1;
  }
  return false;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// Who may import whom in build/src and tests: the table of STYLE.md as data. A finding names the edge.
// Layers go down: a file imports its own layer or a lower one.
import { dirname, join, normalize } from 'node:path';
import { readSource, sourceFiles } from './sources.ts';

/** From the top. Folders of build/src, or files that stand there by themselves. */
const layers: readonly (readonly string[])[] = [
  ['run.ts', 'testing.ts'],
  ['cli.ts'],
  ['commands'],
  ['check', 'report', 'bench', 'steps', 'trace'],
  ['engine', 'qemu', 'image', 'manifest', 'config', 'keys', 'base'],
  ['toolchain'],
  ['errors.ts', 'log.ts', 'units.ts', 'near.ts', 'paths.ts'],
];

/** Packages that have one importer each. */
const oneImporter: Readonly<Record<string, RegExp>> = {
  execa: /^build\/src\/toolchain\/exec\.ts$/,
  zx: /^scripts\//,
  tar: /^build\/src\/(image\/formats\/(oci|tar)|base\/unpack)\.ts$/,
  '@iarna/toml': /^build\/src\/config\/render\.ts$/,
};

/** What looks like an import upwards and has a reason. */
const allowed: Readonly<Record<string, string>> = {
  'check -> commands': 'the module manifest is checked by the command that prints it',
  'report -> commands': 'runs the verbs that a person types',
};

export async function checkBoundaries(root: string): Promise<string[]> {
  const files = [
    ...(await sourceFiles(root, 'build/src')),
    ...(await sourceFiles(root, 'tests')),
    ...(await sourceFiles(root, 'scripts')),
  ];
  const findings: string[] = [];
  for (const path of files.filter((one) => /\.m?ts$/.test(one))) {
    for (const target of imports(await readSource(root, path))) {
      const why = target.startsWith('.') ? judge(path, normalize(join(dirname(path), target))) : judgePackage(path, target);
      if (why !== undefined) findings.push(`${path} imports ${target}: ${why}`);
    }
  }
  return findings;
}

export function imports(text: string): string[] {
  const static_ = [...text.matchAll(/^(?:import|export)\b[^'"]*?from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]/gm)];
  const dynamic = [...text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)];
  return [...static_.map((match) => match[1] ?? match[2] ?? ''), ...dynamic.map((match) => match[1] ?? '')];
}

function judge(from: string, to: string): string | undefined {
  if (from.startsWith('tests/')) {
    if (to.startsWith('tests/') || to === 'build/src/testing.ts') return undefined;
    return 'a test enters by build/src/testing.ts only';
  }
  if (from.startsWith('scripts/')) return undefined;
  if (to.startsWith('tests/')) return 'the orchestrator does not know the tests';
  // A unit test beside the code may look around.
  if (from.endsWith('.test.ts')) return undefined;
  const [upper, lower] = [layerOf(from), layerOf(to)];
  if (upper === undefined || lower === undefined) return `it stands in no layer of build/src/check/boundaries.ts`;
  const edge = `${partOf(from)} -> ${partOf(to)}`;
  return lower.depth >= upper.depth || allowed[edge] !== undefined ? undefined : `${edge} goes upwards`;
}

function judgePackage(from: string, name: string): string | undefined {
  const only = oneImporter[name];
  return only === undefined || only.test(from) || from.endsWith('.test.ts')
    ? undefined
    : `only ${only.source.replaceAll('\\', '')} may`;
}

function partOf(path: string): string {
  return path.replace('build/src/', '').split('/')[0] ?? path;
}

function layerOf(path: string): { readonly depth: number } | undefined {
  const depth = layers.findIndex((layer) => layer.includes(partOf(path)));
  return depth === -1 ? undefined : { depth };
}

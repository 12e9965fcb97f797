// SPDX-License-Identifier: PMPL-1.0-or-later
// The repository satisfies its own checks of text, and the checks see what they are for.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../paths.ts';
import { checkBoundaries, imports } from './boundaries.ts';
import { checkLicences } from './licences.ts';
import { checkUnsafe } from './unsafe.ts';

const root = repositoryRoot();

test('every import of build/src, tests and scripts goes the way it may', async () => {
  expect(await checkBoundaries(root)).toEqual([]);
});

test('every source file says its licence', async () => {
  expect(await checkLicences(root)).toEqual([]);
});

test('unsafe stands only where it may, and each block says why', async () => {
  expect(await checkUnsafe(root)).toEqual([]);
});

async function tree<T>(files: Readonly<Record<string, string>>, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'check-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('a wrong import is found and named by its edge', async () => {
  const files = {
    'build/src/toolchain/a.ts': "import { x } from '../steps/b.ts';\n",
    'build/src/steps/b.ts': "import { execa } from 'execa';\nexport const x = () => import('../commands/c.ts');\n",
    'tests/t.test.ts': "import { y } from '../build/src/steps/b.ts';\n",
  };
  const found = (await tree(files, checkBoundaries)).sort();
  expect(found).toEqual([
    'build/src/steps/b.ts imports ../commands/c.ts: steps -> commands goes upwards',
    'build/src/steps/b.ts imports execa: only ^build/src/toolchain/exec.ts$ may',
    'build/src/toolchain/a.ts imports ../steps/b.ts: toolchain -> steps goes upwards',
    'tests/t.test.ts imports ../build/src/steps/b.ts: a test enters by build/src/testing.ts only',
  ]);
});

test('imports over several lines, type imports and re-exports are seen', () => {
  expect(
    imports("import {\n  a,\n} from 'x';\nimport type { B } from './y.ts';\nexport * from './z.ts';\nimport 'w';\n"),
  ).toEqual(['x', './y.ts', './z.ts', 'w']);
});

test('unsafe in the wrong crate and an unexplained block are found', async () => {
  const files = {
    'kernel-rs/kernel/src/a.rs': '// unsafe { in a comment }\nfn f() { unsafe { g() } }\n',
    'kernel-rs/machine/src/b.rs':
      '// SAFETY: 1. it is fine.\nunsafe { g() };\n\n\n\n\n\nfn f() {\n a();\n b();\n c();\n d();\n unsafe { g() }\n}\n',
  };
  const found = await tree(files, checkUnsafe);
  expect(found).toHaveLength(2);
  expect(found[0]).toMatch(/^kernel-rs\/kernel\/src\/a\.rs:2 unsafe outside/);
  expect(found[1]).toMatch(/^kernel-rs\/machine\/src\/b\.rs:13 an unsafe block without/);
});

test('a file without its licence is found', async () => {
  expect(await tree({ 'a.rs': 'fn main() {}\n', 'out/made.rs': '' }, checkLicences)).toHaveLength(1);
});

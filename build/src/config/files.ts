// SPDX-License-Identifier: PMPL-1.0-or-later
// Which files the configuration is made of, and the one expression that evaluates them all.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../errors.ts';

/** Every `.ncl` file of `configs/` and `images/`, by path relative to the root, sorted. */
export async function configFiles(root: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const folder of ['configs', 'configs/contracts', 'images/partitions', 'images/variants']) {
    for (const name of (await list(root, folder)).sort()) {
      if (name.endsWith('.ncl')) files.set(`${folder}/${name}`, await readFile(join(root, folder, name), 'utf8'));
    }
  }
  return files;
}

/** `{ kernel = import "configs/kernel.ncl", … }`: relative to the folder that the files stand in. */
export function wholeExpression(files: Iterable<string>): string {
  const paths = [...files];
  const record = (folder: string) =>
    paths
      .filter((path) => path.startsWith(`${folder}/`))
      .map((path) => `"${path.slice(folder.length + 1)}" = import "${path}"`)
      .join(', ');
  const configs = ['kernel', 'servers', 'update', 'base', 'schema']
    .map((name) => `${name} = import "configs/${name}.ncl"`)
    .join(', ');
  return `{ ${configs}, partitions = { ${record('images/partitions')} }, variants = { ${record('images/variants')} } }`;
}

async function list(root: string, folder: string): Promise<string[]> {
  try {
    return await readdir(join(root, folder));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new UserError(`the folder ${folder} is missing`, {
      code: 'config/missing-file',
      where: root,
      hint: `git checkout -- ${folder}`,
    });
  }
}

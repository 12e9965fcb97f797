// SPDX-License-Identifier: PMPL-1.0-or-later
// `manifest`: the module manifest of the FlatRacoon stack as JSON: flatracoon-os.manifest.ncl, evaluated and checked.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { checkModule } from '../manifest/module.ts';
import { evaluate } from '../toolchain/nickel.ts';
import type { Command } from './command.ts';

export const command: Command = {
  usage: '',
  help: `Prints the module manifest (flatracoon-os.manifest.ncl) as JSON, as the stack's orchestrator reads it: name, version, layer, repo,
deployment mode, namespace, what it requires and provides, its configuration schema and endpoints.`,
  async run({ root, print, signal }) {
    print(JSON.stringify(await moduleManifest(root, signal), undefined, 2));
    return undefined;
  },
};

/** Errors: `UserError` `manifest/module` when it does not satisfy its contract or differs from package.json. */
export async function moduleManifest(root: string, signal?: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
  const where = 'flatracoon-os.manifest.ncl';
  const evaluation = await evaluate(root, `import "${where}"`, root, signal);
  if (!evaluation.ok)
    throw new UserError('the module manifest is refused by its contract', {
      code: 'manifest/module',
      where,
      hint: evaluation.diagnostic,
    });
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  const problems = checkModule(evaluation.value, version);
  if (problems.length > 0)
    throw new UserError(problems.join('; '), { code: 'manifest/module', where, hint: 'correct the manifest' });
  return evaluation.value as Readonly<Record<string, unknown>>;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// `check`: everything that can be judged without building an image or booting one. Each check is one row; all run, then all failures
// are shown. The checks themselves are in `../check/`.
import { checks } from '../check/index.ts';
import { UserError } from '../errors.ts';
import { type Command, flag, text } from './command.ts';

export const command: Command = {
  usage: '[--fix] [--only NAME]',
  help: `Types (tsc), formats and lints (biome, cargo fmt, clippy), licence headers, import rules, where unsafe stands, and the module
manifest; then it counts what we promise to keep small. Ends with 2 when anything is to be mended.

  --fix         let biome and cargo fmt mend what they can
  --only NAME   one check`,
  options: { fix: { type: 'boolean' }, only: { type: 'string' } },
  async run(context) {
    const { root, log, signal, values } = context;
    const only = text(values, 'only');
    const chosen = checks.filter((one) => only === undefined || one.name === only);
    if (chosen.length === 0)
      throw new UserError(`there is no check \`${only}\``, {
        code: 'cli/bad-argument',
        hint: `known are: ${checks.map((one) => one.name).join(', ')}`,
      });
    const failed: { readonly name: string; readonly findings: readonly string[] }[] = [];
    for (const check of chosen) {
      const step = log.step(check.name);
      const { findings, note } = await check.run({ root, fix: flag(values, 'fix'), signal });
      if (findings.length === 0) step.done(note);
      else step.fail(`${findings.length} to mend`);
      if (findings.length > 0) failed.push({ name: check.name, findings });
      log.event('check', { name: check.name, findings, note });
    }
    for (const { name, findings } of failed) context.log.warn(`${name}:\n    ${findings.slice(0, 40).join('\n    ')}`);
    return failed.length === 0 ? 0 : 2;
  },
};

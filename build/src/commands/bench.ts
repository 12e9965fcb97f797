// SPDX-License-Identifier: PMPL-1.0-or-later
// `bench SUITE`: each suite prints a table and writes out/bench/SUITE.json, an array of {name, value, unit, ...}. A number that is too
// high is marked, and stays a number; only `--gate` makes it a failure. A suite is one file in `benches/`.
import { UserError } from '../errors.ts';
import { type Bench, benches } from './benches/index.ts';
import type { Command } from './command.ts';

const each = (line: (name: string, bench: Bench) => string) => Object.entries(benches).map(([name, bench]) => line(name, bench));

export const command: Command = {
  usage: `${each((name, { usage }) => `${name} ${usage}`.trim()).join(' | ')} [--gate]`,
  help: `Measures and writes out/bench/SUITE.json, an array of {name, value, unit, ...}, and prints a table.

${each((name, { help }) => `  ${name.padEnd(14)} ${help}`).join('\n')}
  --gate         exit code 1 when a figure is above what it must be`,
  options: {
    gate: { type: 'boolean' },
    ...Object.assign({}, ...Object.values(benches).map(({ options }) => options)),
  },
  positionals: 1,
  async run(context) {
    const [suite] = context.positionals;
    const bench = suite === undefined ? undefined : benches[suite];
    if (bench !== undefined) return bench.run(context);
    throw new UserError(suite === undefined ? 'bench: which suite?' : `bench: there is no suite ${suite}`, {
      code: 'bench/unknown-suite',
      hint: `use one of: ${Object.keys(benches).join(', ')}`,
    });
  },
};

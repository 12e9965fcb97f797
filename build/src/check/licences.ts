// SPDX-License-Identifier: PMPL-1.0-or-later
// Every source file says its licence in its first lines.
import { readSource, sourceFiles } from './sources.ts';

const licence = 'SPDX-License-Identifier: PMPL-1.0-or-later';
const sources = /(\.(rs|ts|mts|mjs|js|py|sh|ncl|toml|ld|S|c|h|adoc|scm|yml|yaml)|(^|\/)(Justfile|run))$/;
/** Made by tools, which would take the line away. */
const generated = /(^|\/)(Cargo\.lock|package-lock\.json)$/;
/** A line or three may stand before it: `#!`, an empty `//`, a document's title. */
const firstLines = 4;

export async function checkLicences(root: string): Promise<string[]> {
  const findings: string[] = [];
  for (const path of (await sourceFiles(root)).filter((one) => sources.test(one) && !generated.test(one))) {
    const head = (await readSource(root, path)).split('\n', firstLines).join('\n');
    if (!head.includes(licence)) findings.push(`${path}:1 lacks "${licence}" in its first ${firstLines} lines`);
  }
  return findings;
}

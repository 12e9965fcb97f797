// SPDX-License-Identifier: PMPL-1.0-or-later
// What the stack's orchestrator requires of a module manifest, beyond the Nickel contract: it reads JSON and trusts nothing.

/** The layers of the FlatRacoon stack, from the network's edge to its top. */
export const layers = [
  'access',
  'overlay',
  'storage',
  'network',
  'naming',
  'platform',
  'observability',
  'orchestration',
] as const;
const required = ['name', 'version', 'layer', 'repo', 'deployment_mode', 'namespace'] as const;

/** All that is wrong with it, as sentences; none when it is good. `version` is that of package.json. */
export function checkModule(value: unknown, version: string): string[] {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return ['the manifest is no record'];
  const manifest = value as Record<string, unknown>;
  const problems: string[] = [];
  for (const field of required) {
    const text = manifest[field];
    if (typeof text !== 'string' || text.trim() === '') problems.push(`${field} is missing or no text`);
  }
  if (typeof manifest.layer === 'string' && !layers.includes(manifest.layer as (typeof layers)[number]))
    problems.push(`layer: found "${manifest.layer}", allowed are ${layers.join(', ')}`);
  if (manifest.version !== version)
    problems.push(`version: found "${String(manifest.version)}", but package.json says "${version}"`);
  for (const field of ['requires', 'provides']) if (!Array.isArray(manifest[field])) problems.push(`${field} is no list`);
  return problems;
}

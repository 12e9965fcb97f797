// SPDX-License-Identifier: PMPL-1.0-or-later
// The lines of kernel-rs/kernel/src/dump.rs as a graph: who holds what, and what was derived from what. Pure.

export interface Pool {
  readonly pool: number;
  readonly parent: number;
  readonly limit: number;
  readonly used: number;
}

export interface Thread {
  readonly thread: number;
  readonly name: string;
  readonly pool: number;
  readonly table: number;
  readonly space: number;
  readonly priority: number;
  readonly state: string;
}

export interface Capability {
  readonly table: number;
  readonly slot: number;
  readonly kind: string;
  readonly object: number;
  readonly rights: string;
  readonly badge: string;
  readonly alive: boolean;
  /** Table and slot of what it was derived from; zeros for an original. */
  readonly from: readonly [number, number];
}

export interface CapabilityGraph {
  readonly pools: readonly Pool[];
  readonly threads: readonly Thread[];
  readonly capabilities: readonly Capability[];
}

/** The last whole dump among the lines, or `undefined`. */
export function readGraph(lines: readonly string[]): CapabilityGraph | undefined {
  const said = lines
    .filter((line) => line.startsWith('GRAPH {'))
    .map((line) => JSON.parse(line.slice('GRAPH '.length)) as object);
  const end = said.findLastIndex((one) => 'end' in one);
  const begin = said.slice(0, Math.max(0, end)).findLastIndex((one) => 'begin' in one);
  if (end === -1 || begin === -1) return undefined;
  const graph = said.slice(begin + 1, end);
  return {
    pools: graph.filter((one): one is Pool => 'limit' in one),
    threads: graph.filter((one): one is Thread => 'thread' in one),
    capabilities: graph.filter((one): one is Capability => 'slot' in one),
  };
}

/** For graphviz: a box a table, with its threads and what only it holds; an ellipse for an object that several tables name. */
export function graphDot({ threads, capabilities }: CapabilityGraph): string {
  const tables = [...new Set(capabilities.map(({ table }) => table))].sort((one, other) => one - other);
  const objectOf = ({ kind, object }: Capability) => `${kind} ${object}`;
  const holders = groupBy(
    capabilities.filter(({ object, alive }) => object !== 0 && alive),
    objectOf,
  );
  const shared = [...holders].filter(([, held]) => new Set(held.map(({ table }) => table)).size > 1);
  const boxes = tables.map((table) => {
    const names = [...new Set(threads.filter((one) => one.table === table).map(({ name }) => name))].join(', ') || 'nobody';
    const own = capabilities.filter((one) => one.table === table && !shared.some(([name]) => name === objectOf(one)));
    const kinds = [...groupBy(own, ({ kind }) => kind)].map(([kind, all]) => `${all.length} ${kind}`).join('\\n');
    return `  table${table} [shape=box, label=${JSON.stringify(`${names}\\n${kinds}`).replaceAll('\\\\n', '\\n')}];`;
  });
  const objects = shared.map(([name]) => `  ${JSON.stringify(name)} [shape=ellipse];`);
  const edges = shared.flatMap(([name, held]) =>
    held.map(({ table, rights, badge }) => {
      const label = badge === '0x0' ? rights : `${rights} ${badge}`;
      return `  table${table} -> ${JSON.stringify(name)} [label=${JSON.stringify(label)}];`;
    }),
  );
  return [
    'digraph capabilities {',
    '  rankdir=LR;',
    '  node [fontname="sans-serif"];',
    ...boxes,
    ...objects,
    ...new Set(edges),
    '}',
    '',
  ].join('\n');
}

function groupBy<T>(all: readonly T[], key: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(key(one), [...(groups.get(key(one)) ?? []), one]);
  return groups;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
import { describe, expect, it } from 'vitest';
import { graphDot, readGraph } from './graph.ts';

const capability = (table: number, slot: number, rest: object) =>
  `GRAPH ${JSON.stringify({ table, slot, kind: 'Endpoint', object: 7, rights: 'w', badge: '0x0', alive: true, from: [0, 0], ...rest })}`;
const lines = [
  'GRAPH {"begin":1}',
  'kernel: something else',
  'GRAPH {"pool":1,"parent":0,"limit":100,"used":3}',
  'GRAPH {"thread":1,"name":"root","pool":1,"table":1,"space":1,"priority":9,"state":"Ready(0)"}',
  capability(1, 11, { rights: 'rwxctedm' }),
  capability(2, 16, { badge: '0x5', from: [1, 11] }),
  capability(2, 17, { kind: 'Memory' }),
  'GRAPH {"end":2}',
];

describe('a dump of the capability graph', () => {
  it('is read whole, between other lines', () => {
    const graph = readGraph(lines);
    expect(graph?.pools).toEqual([{ pool: 1, parent: 0, limit: 100, used: 3 }]);
    expect(graph?.threads[0]?.name).toBe('root');
    expect(graph?.capabilities.map(({ slot, from }) => [slot, from])).toEqual([
      [11, [0, 0]],
      [16, [1, 11]],
      [17, [0, 0]],
    ]);
  });

  it('is none while it has no end', () => {
    expect(readGraph(lines.slice(0, -1))).toBeUndefined();
  });

  it('is drawn with tables as boxes and what several hold as ellipses', () => {
    expect(graphDot(readGraph(lines)!)).toMatchInlineSnapshot(`
      "digraph capabilities {
        rankdir=LR;
        node [fontname="sans-serif"];
        table1 [shape=box, label="root\\n"];
        table2 [shape=box, label="nobody\\n1 Memory"];
        "Endpoint 7" [shape=ellipse];
        table1 -> "Endpoint 7" [label="rwxctedm"];
        table2 -> "Endpoint 7" [label="w 0x5"];
      }
      "
    `);
  });
});

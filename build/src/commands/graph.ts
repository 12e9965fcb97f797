// SPDX-License-Identifier: PMPL-1.0-or-later
// `graph`: the server manifest as a table, with every grant and its reason, and as a picture in out/graph.svg.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { edges } from '../manifest/graph.ts';
import { dotOf, grantRows, graphRows, sumLine } from '../manifest/picture.ts';
import { drawSvg } from '../toolchain/dot.ts';
import type { Command } from './command.ts';
import { table } from './table.ts';

export const command: Command = {
  usage: '',
  help: `Prints who is started in which order, who calls whom, who holds what and why, from configs/servers.ncl, and draws it: out/graph.svg
(and out/graph.dot, which made it). With --json one object with the components and the edges.`,
  async run({ root, json, log, print, signal }) {
    const config = await loadConfig(root, { signal });
    const dot = dotOf(config);
    await mkdir(join(root, 'out'), { recursive: true });
    await writeFile(join(root, 'out/graph.dot'), dot);
    await writeFile(join(root, 'out/graph.svg'), `${await drawSvg(dot, signal)}\n`);
    if (json) {
      log.event('graph', {
        order: config.startOrder,
        components: config.components,
        edges: edges(config.components),
        svg: join(root, 'out/graph.svg'),
      });
      return undefined;
    }
    print(table(['start', 'component', 'memory', 'priority', 'CPU', 'serves', 'calls', 'holds'], graphRows(config)));
    print(`\n${sumLine(config)}\n`);
    print(table(['component', 'grant', 'because'], grantRows(config)));
    print('\nout/graph.svg');
    return undefined;
  },
};

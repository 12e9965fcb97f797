// SPDX-License-Identifier: PMPL-1.0-or-later
// `capabilities`: who holds which capability in a development node that runs, as JSON and as a picture. A debugger asks the kernel,
// which prints all it has on its console. Read next: `trace/graph.ts`.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InternalError } from '../errors.ts';
import { artifactsOf } from '../qemu/artifacts.ts';
import { prepareMachine } from '../qemu/prepare.ts';
import { startMachine } from '../qemu/start.ts';
import { temporaryFolder } from '../qemu/workspace.ts';
import { drawSvg } from '../toolchain/dot.ts';
import { debug } from '../toolchain/gdb.ts';
import { type CapabilityGraph, graphDot, readGraph } from '../trace/graph.ts';
import type { Command, CommandContext } from './command.ts';

export const command: Command = {
  usage: '',
  help: `Boots the development build without firmware, and when it is ready has its kernel tell every capability, thread and pool:
out/capabilities.json, and as a picture out/capabilities.svg (and .dot, which made it). Needs \`just build-dev\`, gdb and graphviz.`,
  async run(context) {
    const graph = await dump(context);
    const { root, json, print, signal } = context;
    const out = (ending: string) => join(root, 'out', `capabilities.${ending}`);
    mkdirSync(join(root, 'out'), { recursive: true });
    const dot = graphDot(graph);
    writeFileSync(out('json'), `${JSON.stringify(graph, undefined, 1)}\n`);
    writeFileSync(out('dot'), dot);
    writeFileSync(out('svg'), `${await drawSvg(dot, signal)}\n`);
    const { capabilities, threads, pools } = graph;
    print(
      json
        ? JSON.stringify(graph)
        : `${capabilities.length} capabilities, ${threads.length} threads, ${pools.length} pools\nout/capabilities.json, out/capabilities.svg`,
    );
    return 0;
  },
};

async function dump({ root, signal }: CommandContext): Promise<CapabilityGraph> {
  const folder = temporaryFolder();
  const socket = join(folder.path, 'gdb');
  const wishes = {
    profile: 'dev',
    image: undefined,
    slot: undefined,
    cpus: 2,
    memoryMiB: 512,
    secureBoot: false,
    direct: true,
    icount: false,
  } as const;
  try {
    const prepared = await prepareMachine({ ...wishes, gdb: `unix:${socket},server=on,wait=off` }, { root, folder: folder.path });
    const machine = await startMachine({ name: 'capabilities', ...prepared });
    try {
      // With a debugger's stub the machine waits to be let go.
      await machine.resume();
      await machine.console.waitFor(/^flatracoon: ready /, { timeoutMs: 180_000 });
      const { kernel } = artifactsOf(root, 'dev');
      await debug(kernel, socket, join(root, 'scripts/gdb/flatracoon.py'), ['flatracoon dump'], signal);
      // An idle node does not enter its kernel by itself; a key at its console is an interrupt.
      machine.console.send('\n');
      await machine.console.waitFor(/^GRAPH \{"end"/, { timeoutMs: 30_000 });
      const graph = readGraph(machine.console.lines.map(({ text }) => text));
      if (graph === undefined) throw new InternalError('the kernel told no whole graph');
      return graph;
    } finally {
      await machine.close();
    }
  } finally {
    folder.remove();
  }
}

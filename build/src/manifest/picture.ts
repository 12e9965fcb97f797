// SPDX-License-Identifier: PMPL-1.0-or-later
// The server manifest as a table and as a picture's description. Pure; graphviz draws it.
import type { Component, Config } from '../config/types.ts';
import { formatSize } from '../units.ts';
import { edges } from './graph.ts';

/** What a component holds, as short words: `PCI 1af4:1042`, `ports 03f8-03ff`, `interrupt 4`, `DMA 1MiB`. */
export function holdings(one: Component): string[] {
  return [
    ...one.devices.map(({ pci }) => `PCI ${hex(pci.vendor)}:${[pci.device, ...pci.alternatives].map(hex).join('|')}`),
    ...one.io_ports.map(({ first, last }) => `ports ${hex(first)}-${hex(last)}`),
    ...one.interrupts.map(({ gsi }) => `interrupt ${gsi}`),
    ...(one.dma_bytes > 0 ? [`DMA ${formatSize(one.dma_bytes)}`] : []),
  ];
}

export function graphRows({ components, startOrder }: Config): string[][] {
  const order = ['process', ...startOrder];
  return order.flatMap((name, n) => {
    const one = components.find((each) => each.name === name);
    if (one === undefined) return [];
    const calls = edges(components).filter((edge) => edge.from === name);
    return [
      [
        String(n),
        name,
        formatSize(one.memory_bytes),
        String(one.priority),
        one.serves.join(' '),
        calls.map((edge) => `${edge.interface}@${edge.to}`).join(' '),
        holdings(one).join(', '),
      ],
    ];
  });
}

/** Every grant with its reason, for a review. */
export function grantRows({ components }: Config): string[][] {
  return components.flatMap((one) => [
    ...one.devices.map(({ pci, because }) => [one.name, `PCI ${hex(pci.vendor)}:${hex(pci.device)}`, because]),
    ...one.io_ports.map(({ first, last, because }) => [one.name, `ports ${hex(first)}-${hex(last)}`, because]),
    ...one.interrupts.map(({ gsi, because }) => [one.name, `interrupt ${gsi}`, because]),
    ...one.calls.map((call) => [one.name, `calls ${call.interface}`, call.because]),
  ]);
}

/** For `dot`: who calls whom, from top to bottom. Components are boxes, what they hold stands in them. */
export function dotOf(config: Config): string {
  const boxes = config.components.map((one) => {
    const lines = [one.name, ...holdings(one), `memory ${formatSize(one.memory_bytes)}`];
    const colour = one.devices.length + one.io_ports.length > 0 ? '#fde9d9' : one.from === 'bundle' ? '#e1ecf7' : '#e6f2e1';
    return `  ${quoted(one.name)} [label=${quoted(lines.join('\\n'))}, fillcolor=${quoted(colour)}];`;
  });
  const arrows = edges(config.components).map(
    (edge) => `  ${quoted(edge.from)} -> ${quoted(edge.to)} [label=${quoted(edge.interface)}, tooltip=${quoted(edge.because)}];`,
  );
  return [
    'digraph servers {',
    '  rankdir=TB; bgcolor=white;',
    '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=11];',
    '  edge [fontname="sans-serif", fontsize=9, color="#555555"];',
    ...boxes,
    ...arrows,
    '}',
    '',
  ].join('\n');
}

const quoted = (text: string) => `"${text.replaceAll('"', '\\"')}"`;
const hex = (value: number) => value.toString(16).padStart(4, '0');

// SPDX-License-Identifier: PMPL-1.0-or-later
// The server manifest as a table and as a picture's description. Pure; graphviz draws it.
import type { Component, Config, Inbound } from '../config/types.ts';
import { formatSize } from '../units.ts';
import { edges } from './graph.ts';
import { budget } from './rules.ts';

/** What a component holds, as short words: `PCI 1af4:1042`, `ports 03f8-03ff`, `interrupt 4`, `DMA 1MiB`. */
export function holdings(one: Component): string[] {
  return [
    ...one.devices.map(({ pci }) => `PCI ${hex(pci.vendor)}:${[pci.device, ...pci.alternatives].map(hex).join('|')}`),
    ...one.io_ports.map(({ first, last }) => `ports ${hex(first)}-${hex(last)}`),
    ...one.interrupts.map(({ gsi }) => `interrupt ${gsi}`),
    ...one.inbound.map((rule) => `inbound ${inboundText(rule)}`),
    ...(one.dma_bytes > 0 ? [`DMA ${formatSize(one.dma_bytes)}`] : []),
  ];
}

export function graphRows({ components, startOrder }: Config): string[][] {
  const order = ['process', ...startOrder];
  return order.flatMap((name, n) => {
    const one = components.find((each) => each.name === name);
    if (one === undefined) return [];
    const called = edges(components).filter((edge) => edge.from === name);
    return [
      [
        String(n),
        name,
        formatSize(one.memory_bytes),
        String(one.priority),
        cpuShare(one),
        one.serves.join(' '),
        called.map((edge) => `${edge.interface}@${edge.to}`).join(' '),
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
    ...one.inbound.map((rule) => [one.name, `inbound ${inboundText(rule)}`, rule.because]),
  ]);
}

/** Called by more than half of all components: an arrow from each would hide the others. */
export function commonInterfaces(components: readonly Component[]): string[] {
  const names = [...new Set(components.flatMap((one) => one.serves))];
  return names.filter((name) => components.filter((one) => calls(one, name)).length * 2 > components.length);
}

/**
 * For `dot`: who calls whom, from top to bottom. Components are boxes, with what they may use and hold; orange ones own hardware, green ones
 * are programs of the root. What nearly everyone calls is said in the server's box instead of drawn; who does not call it says so.
 */
export function dotOf(config: Config): string {
  const { components } = config;
  const common = commonInterfaces(components);
  const boxes = components.map((one) => {
    const colour = one.devices.length + one.io_ports.length > 0 ? '#fde9d9' : one.from === 'bundle' ? '#e1ecf7' : '#e6f2e1';
    return `  ${quoted(one.name)} [label=<${label(one, common)}>, fillcolor=${quoted(colour)}];`;
  });
  const arrows = edges(components)
    .filter((edge) => !common.includes(edge.interface))
    .map(
      (edge) =>
        `  ${quoted(edge.from)} -> ${quoted(edge.to)} [label=${quoted(edge.interface)}, tooltip=${quoted(edge.because)}];`,
    );
  return [
    'digraph servers {',
    '  rankdir=TB; bgcolor=white; nodesep=0.3; ranksep=0.6;',
    '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];',
    '  edge [fontname="sans-serif", fontsize=9, color="#555555"];',
    ...boxes,
    ...arrows,
    '}',
    '',
  ].join('\n');
}

function label(one: Component, common: readonly string[]): string {
  const everybody = one.serves.filter((name) => common.includes(name)).map((name) => `called by all for ${name}`);
  const silent = common.filter((name) => !one.serves.includes(name) && !calls(one, name)).map((name) => `does not call ${name}`);
  const lines = [...budgets(one), ...holdings(one), ...everybody, ...silent].map(escaped);
  return `<b>${escaped(one.name)}</b><br/>${lines.join('<br/>')}`;
}

/** `1MiB, priority 100`, and how much of a CPU if that is limited. */
function budgets(one: Component): string[] {
  const limit = cpuShare(one);
  return [`${formatSize(one.memory_bytes)}, priority ${one.priority}`, ...(limit === '' ? [] : [`CPU ${limit}`])];
}

/** `10 ms in 100 ms`; empty without a limit. */
function cpuShare({ budget_us, period_us }: Component): string {
  return budget_us === 0 ? '' : `${budget_us / 1_000} ms in ${period_us / 1_000} ms`;
}

/** What all may use together, beside what the smallest machine has for them. */
export function sumLine({ components, kernel }: Config): string {
  const { needed_bytes, free_bytes } = budget(components, kernel);
  const machine = formatSize(kernel.smallest_machine_bytes);
  return `memory and DMA of ${components.length} components with the kernel's reserve: ${formatSize(needed_bytes)} of ${formatSize(free_bytes)} that the smallest machine (${machine}) has for them`;
}

const calls = (one: Component, name: string) => one.calls.some((call) => call.interface === name);
const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const inboundText = ({ protocol, first, last, from }: Inbound) =>
  `${protocol} ${first === last ? first : `${first}-${last}`} from ${from}`;
const quoted = (text: string) => `"${text.replaceAll('"', '\\"')}"`;
const hex = (value: number) => value.toString(16).padStart(4, '0');

// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import type { Component, Config } from '../config/types.ts';
import { commonInterfaces, dotOf, grantRows, graphRows, sumLine } from './picture.ts';

const MIB = 2 ** 20;
const component = (name: string, serves: string[], calls: string[], more: Partial<Component> = {}) =>
  ({
    name,
    serves,
    calls: calls.map((one) => ({ interface: one, because: 'a <test> needs it' })),
    from: 'bundle',
    memory_bytes: MIB,
    dma_bytes: 0,
    priority: 100,
    budget_us: 0,
    period_us: 0,
    devices: [],
    io_ports: [],
    interrupts: [],
    inbound: [],
    ...more,
  }) as unknown as Component;

const drivers = Array.from({ length: 12 }, (_, n) => component(`driver-${n}`, [`device-${n}`], ['log']));
const components = [
  component('uart', ['log'], [], { interrupts: [{ gsi: 4, because: 'a byte came' }], dma_bytes: MIB }),
  ...drivers,
  component('user', [], ['log', 'device-3'], { budget_us: 10_000, period_us: 100_000 }),
  component('mute', [], ['device-3']),
];
const kernel = { smallest_machine_bytes: 256 * MIB, reserve_bytes: MIB };
const config = { components, kernel, startOrder: components.map(({ name }) => name) } as unknown as Config;

test('what more than half of 15 components call is said in the box of its server, not drawn', () => {
  expect(commonInterfaces(components)).toEqual(['log']);
  const dot = dotOf(config);
  expect(dot.match(/ -> /g)).toHaveLength(2);
  expect(dot).toContain('<b>uart</b><br/>1MiB, priority 100<br/>interrupt 4<br/>DMA 1MiB<br/>called by all for log');
  expect(dot).toContain('<b>mute</b><br/>1MiB, priority 100<br/>does not call log');
});

test('a limit of CPU time stands in the box and in the table', () => {
  expect(dotOf(config)).toContain('<b>user</b><br/>1MiB, priority 100<br/>CPU 10 ms in 100 ms');
  expect(graphRows(config).find(([, name]) => name === 'user')).toEqual(
    ['14', 'user', '1MiB', '100', '10 ms in 100 ms', '', 'log@uart device-3@driver-3', ''].map((cell, n) =>
      n === 0 ? '14' : cell,
    ),
  );
});

test('the sum is told beside what the smallest machine has', () => {
  expect(sumLine(config)).toContain(
    "of 15 components with the kernel's reserve: 17MiB of 208MiB that the smallest machine (256MiB)",
  );
});

test('the ports at which others may begin stand in the box and among the grants', () => {
  const inbound = [
    { protocol: 'tcp', first: 22, last: 22, from: 'link', because: 'people log in' },
    { protocol: 'udp', first: 6000, last: 6009, from: 'anywhere', because: 'sounds come' },
  ] as const;
  const opened = { ...config, components: [...components, component('server', [], ['log'], { inbound })] };
  expect(dotOf(opened)).toContain('inbound tcp 22 from link<br/>inbound udp 6000-6009 from anywhere');
  expect(grantRows(opened).filter(([name, what]) => name === 'server' && what?.startsWith('inbound'))).toEqual([
    ['server', 'inbound tcp 22 from link', 'people log in'],
    ['server', 'inbound udp 6000-6009 from anywhere', 'sounds come'],
  ]);
});

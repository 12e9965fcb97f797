// SPDX-License-Identifier: PMPL-1.0-or-later
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type BundleComponent, type BundleReport, changes } from './authority.ts';

const plain: BundleComponent = {
  name: 'storage',
  kind: 'service',
  program: { from: 'bundle', sha256: 'a'.repeat(64) },
  memory: 1 << 20,
  stack: 65_536,
  table_slots: 256,
  priority: 100,
  budget_us: 0,
  period_us: 0,
  log_level: 3,
  ready_within_ms: 5_000,
  heartbeat_ms: 250,
  restart: { delay_ms: 10, limit: 5 },
  devices: [],
  io_ports: [],
  interrupts: [],
  dma: 0,
  serves: ['file'],
  calls: ['log'],
  inbound: [],
};
const report = (...components: Partial<BundleComponent>[]): BundleReport => ({
  version: '1',
  profile: 'dev',
  kernel: { max_cpus: 64 },
  components: components.map((one) => ({ ...plain, ...one })),
});
const of = (before: BundleReport, after: BundleReport) =>
  changes(before, after).map(({ who, what, authority }) => `${authority} ${who} ${what}`);

test('two bundles that are the same differ in nothing', () => {
  expect(changes(report({}), report({}))).toEqual([]);
});

test.each<[string, Partial<BundleComponent>]>([
  ['PCI 1af4:1042', { devices: [{ vendor: 0x1af4, devices: [0x1042] }] }],
  ['ports 03f8-03ff', { io_ports: [[0x3f8, 0x3ff]] }],
  ['interrupt 4', { interrupts: [4] }],
  ['calls net', { calls: ['log', 'net'] }],
  ['inbound tcp 22-22 from link', { inbound: ['tcp 22-22 from link'] }],
  ['serves slot', { serves: ['file', 'slot'] }],
  ['memory', { memory: 2 << 20 }],
  ['DMA memory', { dma: 4096 }],
  ['priority', { priority: 101 }],
])('%s is more authority when it comes and less when it goes', (what, grant) => {
  expect(of(report({}), report(grant))).toEqual([`more storage ${what}`]);
  expect(of(report(grant), report({}))).toEqual([`less storage ${what}`]);
});

test('a limit of CPU time is less authority than none, and more time than a smaller share', () => {
  const share = (budget_us: number, period_us: number) => report({ budget_us, period_us });
  expect(of(report({}), share(10_000, 100_000))).toEqual(['less storage CPU time']);
  expect(of(share(10_000, 100_000), share(10_000, 50_000))).toEqual(['more storage CPU time']);
});

test('another program, kernel setting or restart policy is told, and is no authority', () => {
  const program = { from: 'bundle', sha256: 'b'.repeat(64) };
  const after = { ...report({ program, restart: { delay_ms: 20, limit: 5 } }), kernel: { max_cpus: 2 } };
  expect(of(report({}), after)).toEqual(['other kernel max_cpus', 'other storage restart', 'other storage program']);
});

test('a new component is more authority with each of its grants, one that is gone is less', () => {
  const two = report({}, { name: 'net', calls: ['log'], serves: [] });
  expect(of(report({}), two)).toEqual(['more net component', 'more net calls log']);
  expect(of(two, report({}))).toEqual(['less net component', 'less net calls log']);
});

test('whatever is more one way is less the other way', () => {
  const some = fc.record({
    memory: fc.integer({ min: 1, max: 8 }).map((n) => n << 20),
    priority: fc.nat(255),
    interrupts: fc.uniqueArray(fc.nat(23)),
    calls: fc.uniqueArray(fc.constantFrom('log', 'file', 'net', 'block')),
  });
  const words = (before: BundleReport, after: BundleReport, authority: string) =>
    changes(before, after)
      .filter((one) => one.authority === authority)
      .map((one) => one.what)
      .sort();
  fc.assert(
    fc.property(some, some, (a, b) => {
      expect(words(report(a), report(b), 'more')).toEqual(words(report(b), report(a), 'less'));
    }),
  );
});

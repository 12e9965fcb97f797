// SPDX-License-Identifier: PMPL-1.0-or-later
// What the kernel of a booted node says that each component holds, against configs/servers.ncl: the same, and nothing more.
// "Given" is what the process server put into a component's table; what a component made of its own pool, or was passed by one that it
// calls or that calls it, is looked at apart. Devices that are not in the machine are not given.
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { loadConfig, run } from '../../build/src/testing.ts';
import { root } from '../support/root.ts';

type Config = Awaited<ReturnType<typeof loadConfig>>;
type Component = Config['components'][number];
interface Capability {
  readonly table: number;
  readonly slot: number;
  readonly kind: string;
  readonly object: number;
  readonly rights: string;
  readonly badge: string;
  readonly from: readonly [number, number];
}

/** The kernel keeps eight letters of a thread's name. */
const short = (name: string) => name.slice(0, 8);
/** A driver's DMA memory beyond this is an object of its own, which it shares (`DMA_PRIVATE_BYTES` of lib/manifest). */
const privateDmaBytes = 64 * 1024;
/** Not in the machine that `just capabilities` boots. */
const absentDevices = ['virtio-net'];

let config: Config;
let capabilities: readonly Capability[];
/** Components that run, and the table of each. */
let tables: Map<string, number>;
let processTable = 0;

beforeAll(async () => {
  config = await loadConfig(root);
  const { stdout } = await run(process.execPath, [join(root, 'build/dist/run.js'), 'capabilities', '--json'], { cwd: root });
  const graph = JSON.parse(stdout) as { capabilities: Capability[]; threads: { name: string; table: number }[] };
  capabilities = graph.capabilities;
  const tableOf = (name: string) => graph.threads.find((one) => one.name === short(name))?.table;
  tables = new Map(
    config.components.flatMap(({ name }) => [[name, tableOf(name)] as const].filter(([, at]) => at !== undefined)) as [
      string,
      number,
    ][],
  );
  processTable = tables.get('process')!;
});

const component = (name: string): Component => config.components.find((one) => one.name === name)!;
const held = (name: string) => capabilities.filter(({ table }) => table === tables.get(name));
const given = (name: string) => held(name).filter(({ from }) => from[0] === processTable);
const running = () => [...tables.keys()].filter((name) => name !== 'process');
const serverOf = (word: string) => config.components.find(({ serves }) => serves.includes(word))?.name ?? 'process';
/** Number of the endpoint that a component receives at. */
const endpoint = (name: string) => given(name).find(({ kind, rights }) => kind === 'Endpoint' && rights.includes('r'))?.object;
const badge = ({ badge }: Capability) => ({
  interface: Number(BigInt(badge) >> 32n),
  client: Number(BigInt(badge) & 0xffff_ffffn),
});

/** What configs/servers.ncl gives to a component, as lines; memory that a client shares with its server apart. */
function granted(name: string): string[] {
  const one = component(name);
  const calls = one.calls
    .filter((call) => tables.has(serverOf(call.interface)))
    .map((call) => {
      const server = serverOf(call.interface);
      return server === 'process' ? `call process for ${call.interface}` : `call ${server} for ${call.interface}`;
    });
  const dma = one.dma_bytes === 0 ? 0 : one.dma_bytes > privateDmaBytes ? 2 : 1;
  return [
    ...['Table', 'AddressSpace', 'Pool', 'Thread'].map((kind) => `its own ${kind}`),
    'call process for process',
    ...calls.filter((line) => line !== 'call process for process'),
    ...(one.serves.length > 0 ? ['serve'] : []),
    ...(one.serves.includes('log') ? ['ring of lines', 'bell of the ring'] : []),
    ...one.io_ports.map(({ first, last }) => `ports ${first}-${last}`),
    ...[...one.interrupts, ...one.devices].map(() => 'an interrupt'),
    ...one.devices.map(() => 'registers of a device'),
    ...Array.from({ length: dma }, () => 'memory for DMA'),
  ].sort();
}

/** A given capability in the words of `granted`. */
function said(name: string, one: Capability): string {
  const { kind, object, rights } = one;
  switch (`${kind} ${rights}`) {
    case 'Endpoint rwct':
      return 'serve';
    case 'Endpoint wt':
      return `call ${called(object)} for ${interfaceOf(one)}`;
    case 'PortRange rwcem':
      return `ports ${Number(one.badge) & 0xffff}-${Number(one.badge) >>> 16}`;
    case 'Interrupt rwcem':
      return 'an interrupt';
    case 'Memory rwcem':
      return 'memory for DMA';
    case 'Memory rwce':
      return 'registers of a device';
    case 'Memory rw':
      return component(name).serves.includes('log') ? 'ring of lines' : 'shared memory';
    case 'Notification re':
      return 'bell of the ring';
    default:
      return rights === 'rwxcte' && ['Table', 'AddressSpace', 'Pool', 'Thread'].includes(kind)
        ? `its own ${kind}`
        : `${kind} ${rights}`;
  }
}

const called = (object: number) => running().find((name) => endpoint(name) === object) ?? 'process';

/** Which of a server's interfaces a badge is for. The process server's own have numbers that the manifest does not know: by what is granted. */
function interfaceOf(one: Capability): string {
  const server = called(one.object);
  const number = badge(one).interface;
  if (server !== 'process') return component(server).serves[number] ?? `its ${number}th interface`;
  return ['process', undefined, 'supervisor', 'power'][number] ?? `its ${number}th interface`;
}

test('all components run but those that have ended and those whose device is not there', () => {
  const missing = config.components.filter(({ name }) => !tables.has(name)).map(({ name, kind }) => `${kind} ${name}`);
  const ended = config.components.filter(({ kind }) => kind === 'oneshot').map(({ name }) => `oneshot ${name}`);
  expect(missing.filter((line) => !ended.includes(line))).toEqual(absentDevices.map((name) => `service ${name}`));
});

test('each component was given what the manifest grants, and nothing more', () => {
  for (const name of running()) {
    const lines = given(name)
      .map((one) => said(name, one))
      .filter((line) => line !== 'shared memory');
    expect(lines.sort(), name).toEqual(granted(name));
  }
});

test('memory is shared between a client and its server, and with nobody else', () => {
  const edges = new Set(
    config.components.flatMap(({ name, calls }) =>
      calls.flatMap((call) => [`${name} ${serverOf(call.interface)}`, `${serverOf(call.interface)} ${name}`]),
    ),
  );
  const objects = new Set(capabilities.filter(({ kind }) => kind === 'Memory').map(({ object }) => object));
  let shared = 0;
  for (const object of objects) {
    const holders = running().filter((name) => held(name).some((one) => one.kind === 'Memory' && one.object === object));
    if (holders.length < 2) continue;
    shared += 1;
    expect(holders, `memory ${object}`).toHaveLength(2);
    expect(edges, `memory ${object}`).toContain(holders.join(' '));
  }
  expect(shared).toBeGreaterThan(0);
});

test('what a component holds besides is its own, or came from one that it calls or that calls it', () => {
  const nameOf = new Map([...tables].map(([name, table]) => [table, name]));
  for (const name of running()) {
    for (const { kind, from, slot } of held(name).filter((one) => one.from[0] !== processTable)) {
      const place = `${name}, slot ${slot}: ${kind} from ${from.join('.')}`;
      expect(['Memory', 'Notification'], place).toContain(kind);
      if (from[0] === 0 || from[0] === tables.get(name)) continue;
      const giver = nameOf.get(from[0]);
      const related =
        component(name).calls.some((call) => serverOf(call.interface) === giver) ||
        component(giver ?? '')?.calls.some((call) => serverOf(call.interface) === name);
      expect(related, place).toBe(true);
    }
  }
});

test('each server tells its clients apart, and a component is one client to all', () => {
  const numbers = running().map((name) => {
    const clients = new Set(
      given(name)
        .filter(({ kind, rights }) => kind === 'Endpoint' && !rights.includes('r'))
        .map((one) => badge(one).client),
    );
    expect(clients.size, name).toBe(1);
    return [...clients][0];
  });
  expect(new Set(numbers).size).toBe(numbers.length);
});

test('no interrupt and no port has two owners, and nobody can make more of them', () => {
  const owned = running().flatMap((name) => given(name).filter(({ kind }) => kind === 'Interrupt' || kind === 'PortRange'));
  const names = owned.map(({ kind, object, badge }) => `${kind} ${object} ${badge}`);
  expect(new Set(names).size).toBe(names.length);
  const sources = capabilities.filter(({ kind }) => ['InterruptControl', 'DeviceRange', 'Debug'].includes(kind));
  expect(sources.map(({ kind, table }) => `${kind} in table ${table}`)).toEqual([]);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// What the graph of servers may not be: two owners of one device, calls to nobody, cycles, budgets beyond the smallest machine.
// Small functions; each returns all that it found. Grants against what programs link: links.ts.
import type { Resolved } from '../config/resolve.ts';
import type { Refuse } from '../config/rules.ts';
import type { Component } from '../config/types.ts';
import type { UserError } from '../errors.ts';
import { nearest } from '../near.ts';
import { formatSize } from '../units.ts';
import { edges, implicitInterfaces, order } from './graph.ts';
import { grantsAndLinks, type Links } from './links.ts';

const file = 'configs/servers.ncl';
/** Kernel, bundle, page tables and frame table, and what the firmware keeps: measured at 40 MiB with OVMF, rounded up. */
const besideBytes = 48 * 2 ** 20;
/** As `lib/manifest` has it: client numbers and tables stay small. */
const mostComponents = 64;

export function checkGraph(config: Resolved, refuse: Refuse, linked: Links): UserError[] {
  const { components } = config;
  return [
    ...process(components, refuse),
    ...twoOwners(components, refuse),
    ...interfaces(components, refuse),
    ...cycle(components, refuse),
    ...inbound(components, refuse),
    ...budgets(config, refuse),
    ...heartbeats(components, refuse),
    ...grantsAndLinks(components, refuse, linked),
  ];
}

function process(components: readonly Component[], refuse: Refuse): UserError[] {
  const errors: UserError[] = [];
  if (!components.some((one) => one.name === 'process'))
    errors.push(
      refuse(
        'manifest/no-process-server',
        file,
        ['components'],
        'components: there is no `process`',
        'add the process server; it starts all others',
      ),
    );
  if (components.length > mostComponents)
    errors.push(
      refuse(
        'manifest/too-many',
        file,
        ['components'],
        `components: ${components.length} are more than ${mostComponents}`,
        'remove some',
      ),
    );
  return errors;
}

/** A hang is found within one and a half heartbeats, and is promised to be found within 500 ms; a look costs something. */
const heartbeatMs = { least: 20, most: 330 };

function heartbeats(components: readonly Component[], refuse: Refuse): UserError[] {
  const { least, most } = heartbeatMs;
  return components
    .filter((one) => one.heartbeat_ms < least || one.heartbeat_ms > most)
    .map((one) =>
      refuse(
        'manifest/heartbeat',
        file,
        ['components', one.name, 'health', 'heartbeat'],
        `${one.name}: a heartbeat of ${one.heartbeat_ms} ms`,
        `choose one from ${least} ms to ${most} ms; a program that works for longer in one piece calls rt::health::beat() meanwhile`,
      ),
    );
}

/** One device, one owner: PCI numbers, ports and interrupt lines. */
function twoOwners(components: readonly Component[], refuse: Refuse): UserError[] {
  const errors: UserError[] = [];
  const claims = components.flatMap((one) => [
    ...one.devices.flatMap(({ pci }, n) =>
      [pci.device, ...pci.alternatives].map((device) => ({
        one,
        path: `devices.${n}.pci`,
        what: `PCI device ${hex(pci.vendor)}:${hex(device)}`,
        first: pci.vendor * 65536 + device,
        last: pci.vendor * 65536 + device,
        space: 'pci',
      })),
    ),
    ...one.io_ports.map(({ first, last }, n) => ({
      one,
      path: `io_ports.${n}`,
      what: `ports ${hex(first)}-${hex(last)}`,
      first,
      last,
      space: 'port',
    })),
    ...one.interrupts.map(({ gsi }, n) => ({
      one,
      path: `interrupts.${n}.gsi`,
      what: `interrupt ${gsi}`,
      first: gsi,
      last: gsi,
      space: 'gsi',
    })),
  ]);
  claims.forEach((claim, n) => {
    const other = claims
      .slice(0, n)
      .find((before) => before.space === claim.space && before.first <= claim.last && claim.first <= before.last);
    if (other === undefined) return;
    const message = `components.${claim.one.name}: ${claim.what} belongs to ${other.one.name} already (${other.what})`;
    errors.push(
      refuse(
        'manifest/two-owners',
        file,
        ['components', claim.one.name, ...claim.path.split('.')],
        message,
        'a device has one owner; let the other call it',
      ),
    );
  });
  return errors;
}

function interfaces(components: readonly Component[], refuse: Refuse): UserError[] {
  const errors: UserError[] = [];
  const served = new Map<string, string>(implicitInterfaces.map((name) => [name, 'process']));
  for (const one of components) {
    one.serves.forEach((name, n) => {
      const other = served.get(name);
      if (other !== undefined && !(implicitInterfaces.includes(name) && one.name === 'process')) {
        const message = `components.${one.name}.serves: \`${name}\` is served by ${other} already`;
        errors.push(
          refuse(
            'manifest/two-servers',
            file,
            ['components', one.name, 'serves', String(n)],
            message,
            'give one of them another name',
          ),
        );
      }
      served.set(name, one.name);
    });
  }
  for (const one of components) {
    one.calls.forEach((call, n) => {
      const path = ['components', one.name, 'calls', String(n), 'interface'];
      if (served.has(call.interface)) {
        const twice = one.calls.slice(0, n).some((before) => before.interface === call.interface);
        if (twice)
          errors.push(
            refuse(
              'manifest/granted-twice',
              file,
              path,
              `components.${one.name}.calls: \`${call.interface}\` stands twice`,
              'remove one',
            ),
          );
        return;
      }
      const near = nearest(call.interface, served.keys());
      const hint = near === undefined ? `served are: ${[...served.keys()].sort().join(', ')}` : `did you mean \`${near}\`?`;
      errors.push(
        refuse('manifest/nobody-serves', file, path, `components.${one.name}.calls: nobody serves \`${call.interface}\``, hint),
      );
    });
  }
  return errors;
}

function cycle(components: readonly Component[], refuse: Refuse): UserError[] {
  const ordered = order(components);
  if (ordered.kind === 'order') return [];
  const path = ordered.path;
  const all = edges(components);
  const steps = path.slice(1).map((to, n) => all.find((edge) => edge.from === path[n] && edge.to === to)?.interface ?? '?');
  const text = path.map((name, n) => (n === 0 ? name : `-(${steps[n - 1]})-> ${name}`)).join(' ');
  const hint = 'calls go one way, down; let the lower one signal instead of calling';
  return [refuse('manifest/cycle', file, ['components', path[0] ?? '', 'calls'], `components: a cycle of calls: ${text}`, hint)];
}

/** Pools, DMA memory and the kernel's reserve, and what the smallest machine has for them beside the kernel itself. */
export function budget(components: readonly Component[], kernel: Resolved['kernel']) {
  const needed_bytes = components.reduce((sum, one) => sum + one.memory_bytes + one.dma_bytes, kernel.reserve_bytes);
  return { needed_bytes, free_bytes: kernel.smallest_machine_bytes - besideBytes };
}

/** Ports are opened to others only for who has an address, each once, and from the lower end to the upper one. */
function inbound(components: readonly Component[], refuse: Refuse): UserError[] {
  return components.flatMap((one) =>
    one.inbound.flatMap((rule, n) => {
      const path = ['components', one.name, 'inbound', String(n)];
      const name = `components.${one.name}.inbound: ${rule.protocol} ${rule.first}-${rule.last}`;
      if (!one.calls.some((call) => call.interface === 'socket')) {
        const hint = 'add { interface = "socket", because = "..." } to its calls, or remove the rule';
        return [refuse('manifest/inbound-without-socket', file, path, `${name}, but it calls no \`socket\``, hint)];
      }
      if (rule.last < rule.first)
        return [refuse('manifest/no-ports', file, path, `${name} holds no port`, 'write the lower port as `first`')];
      const before = one.inbound
        .slice(0, n)
        .find((other) => other.protocol === rule.protocol && other.first <= rule.last && rule.first <= other.last);
      if (before === undefined) return [];
      const message = `${name} has ports of ${before.first}-${before.last}, which stand there already`;
      return [refuse('manifest/port-twice', file, path, message, 'say once who may begin on a port')];
    }),
  );
}

function budgets({ components, kernel }: Resolved, refuse: Refuse): UserError[] {
  const { needed_bytes: needed, free_bytes: free } = budget(components, kernel);
  if (needed <= free) return [];
  const largest = [...components].sort((a, b) => b.memory_bytes + b.dma_bytes - a.memory_bytes - a.dma_bytes)[0];
  const path = ['components', largest?.name ?? '', 'memory'];
  const message = `components: their memory and DMA sum up to ${formatSize(needed)}, but the smallest machine (${formatSize(kernel.smallest_machine_bytes)}) has ${formatSize(free)} for them`;
  return [refuse('manifest/over-budget', file, path, message, `lower some; the largest is ${largest?.name}`)];
}

const hex = (value: number) => `0x${value.toString(16).padStart(4, '0')}`;

// SPDX-License-Identifier: PMPL-1.0-or-later
// Who calls whom, and the order of starting that follows: each component after all that it calls. Pure.
// Calls go one way, down; a cycle is told with its path. Read next: rules.ts.
import type { Component } from '../config/types.ts';

export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly interface: string;
  readonly because: string;
}

/**
 * What the process server serves without its being written; it is up before anything else. `process` is everybody's; `power`
 * (end everything in order), `supervisor` (list and end components) and, outside production, `injector` (faults on purpose) are granted.
 */
export const implicitInterfaces: readonly string[] = ['process', 'power', 'supervisor', 'injector'];

export type Order =
  | { readonly kind: 'order'; readonly names: readonly string[] }
  /** `a, b, c, a`: each calls the next. */
  | { readonly kind: 'cycle'; readonly path: readonly string[] };

/** The component that serves an interface. */
export function serverOf(components: readonly Component[], name: string): string | undefined {
  const found = components.find((one) => one.serves.includes(name))?.name;
  return found ?? (implicitInterfaces.includes(name) ? 'process' : undefined);
}

/** One edge per call whose server is known; a program in the verity root needs the file server as well. */
export function edges(components: readonly Component[]): Edge[] {
  return components.flatMap((one) => {
    const calls = one.calls.flatMap((call) => {
      const to = serverOf(components, call.interface);
      return to === undefined ? [] : [{ from: one.name, to, interface: call.interface, because: call.because }];
    });
    const files = serverOf(components, 'file');
    if (one.from.startsWith('root:') && files !== undefined && files !== one.name)
      calls.push({ from: one.name, to: files, interface: 'file', because: 'its program is read from there' });
    return calls;
  });
}

/** Stable: components keep the order of the file where calls do not decide. */
export function order(components: readonly Component[]): Order {
  const all = edges(components);
  const done: string[] = [];
  const open: string[] = [];
  const visit = (name: string): readonly string[] | undefined => {
    if (done.includes(name)) return undefined;
    if (open.includes(name)) return [...open.slice(open.indexOf(name)), name];
    open.push(name);
    for (const edge of all.filter((one) => one.from === name)) {
      const cycle = visit(edge.to);
      if (cycle !== undefined) return cycle;
    }
    open.pop();
    done.push(name);
    return undefined;
  };
  const names = components.map((one) => one.name);
  for (const name of names.includes('process') ? ['process', ...names] : names) {
    const cycle = visit(name);
    if (cycle !== undefined) return { kind: 'cycle', path: cycle };
  }
  return { kind: 'order', names: done };
}

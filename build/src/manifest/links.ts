// SPDX-License-Identifier: PMPL-1.0-or-later
// Authority is written twice and compared: grants in configs/servers.ncl, `api-…` crates that a program links, itself or by a library of
// ours. `lib/rt` is every program's, so what it links (its line to `log` and `process`) is nobody's choice.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Refuse } from '../config/rules.ts';
import type { Component } from '../config/types.ts';
import type { UserError } from '../errors.ts';
import { implicitInterfaces, serverOf } from './graph.ts';

/** By program: the interface, and the chain of crates that links it, `network, sockets`. */
export type Links = ReadonlyMap<string, ReadonlyMap<string, string>>;

const file = 'configs/servers.ncl';
/** Where programs are, below servers-rs. */
const folders = ['servers', 'drivers', 'programs', 'tests'];
const everybodys = 'rt';

/** Reads `Cargo.toml` of each program and of the libraries that it links. A program that does not exist is left out. */
export async function linkedInterfaces(root: string, programs: readonly string[]): Promise<Links> {
  const libraries = new Map<string, string>();
  const workspace = (await manifest(root, '')) ?? '';
  for (const [, name = '', path = ''] of workspace.matchAll(/^([\w-]+) = \{.*\bpath = "([^"]+)"/gm)) libraries.set(name, path);
  const links = new Map<string, ReadonlyMap<string, string>>();
  for (const program of programs) {
    for (const folder of folders) {
      const text = await manifest(root, join(folder, program));
      if (text !== undefined) links.set(program, await closure(root, program, text, libraries));
    }
  }
  return links;
}

async function closure(root: string, program: string, text: string, libraries: ReadonlyMap<string, string>) {
  const found = new Map<string, string>();
  const seen = new Set<string>([everybodys]);
  const open = [{ text, chain: program }];
  for (let one = open.shift(); one !== undefined; one = open.shift()) {
    for (const name of dependencies(one.text)) {
      const path = libraries.get(name);
      if (seen.has(name) || path === undefined) continue;
      seen.add(name);
      const word = /^api-(.+)$/.exec(name)?.[1];
      if (word !== undefined) found.set(word, one.chain);
      else open.push({ text: (await manifest(root, path)) ?? '', chain: `${one.chain}, ${name}` });
    }
  }
  return found;
}

/** The names under `[dependencies]`: what is built into the program, not what its tests or its build use. */
export function dependencies(text: string): string[] {
  const section = /^\[dependencies\]$([\s\S]*?)(?=^\[|(?![\s\S]))/m.exec(text)?.[1] ?? '';
  return [...section.matchAll(/^([\w-]+)[ .=]/gm)].map((match) => match[1] ?? '');
}

function manifest(root: string, folder: string): Promise<string | undefined> {
  return readFile(join(root, 'servers-rs', folder, 'Cargo.toml'), 'utf8').catch(() => undefined);
}

export function grantsAndLinks(components: readonly Component[], refuse: Refuse, linked: Links): UserError[] {
  return components.flatMap((one) => {
    const links = linked.get(one.program);
    if (links === undefined) return [unknownProgram(one, linked, refuse)];
    // A call to nobody is a mistake of its own; its link would be told as a second one.
    if (one.calls.some((call) => serverOf(components, call.interface) === undefined)) return [];
    return [
      ...ungranted(one, links, refuse),
      ...unusedCalls(one, links, refuse),
      ...unusedServices(one, components, links, refuse),
    ];
  });
}

function unknownProgram(one: Component, linked: Links, refuse: Refuse): UserError {
  const message = `components.${one.name}.program: servers-rs has no package \`${one.program}\``;
  const hint = `known are: ${[...linked.keys()].sort().join(', ')}`;
  return refuse('manifest/unknown-program', file, ['components', one.name, 'program'], message, hint);
}

function ungranted(one: Component, links: ReadonlyMap<string, string>, refuse: Refuse): UserError[] {
  // The process server is started with all that it needs, and serves what its crates describe.
  if (one.name === 'process') return [];
  const granted = new Set([...one.calls.map((call) => call.interface), ...one.serves]);
  return [...links]
    .filter(([name]) => !granted.has(name))
    .map(([name, chain]) => {
      const by = chain === one.program ? 'its Cargo.toml' : `\`${chain.split(', ').at(-1)}\`, which it links,`;
      const message = `components.${one.name}: ${by} links api-${name}, but nothing grants \`${name}\``;
      const hint = `add { interface = "${name}", because = "..." }, or remove the link`;
      return refuse('manifest/link-without-grant', file, ['components', one.name, 'calls'], message, hint);
    });
}

function unusedCalls(one: Component, links: ReadonlyMap<string, string>, refuse: Refuse): UserError[] {
  return one.calls.flatMap((call, n) => {
    if (links.has(call.interface) || call.interface === 'log') return [];
    const message = `components.${one.name}.calls: \`${call.interface}\` is granted, but its Cargo.toml links no api-${call.interface}`;
    const path = ['components', one.name, 'calls', String(n)];
    return [refuse('manifest/unused-grant', file, path, message, 'remove the grant, or link the interface')];
  });
}

function unusedServices(
  one: Component,
  all: readonly Component[],
  links: ReadonlyMap<string, string>,
  refuse: Refuse,
): UserError[] {
  // Two servers of one interface are a mistake of their own.
  const twice = (name: string) =>
    implicitInterfaces.includes(name) || all.some((other) => other !== one && other.serves.includes(name));
  return one.serves.flatMap((name, n) => {
    if (links.has(name) || twice(name)) return [];
    const message = `components.${one.name}.serves: \`${name}\` is to be served, but its Cargo.toml links no api-${name}`;
    const path = ['components', one.name, 'serves', String(n)];
    return [refuse('manifest/served-without-link', file, path, message, 'remove it, or link the interface')];
  });
}

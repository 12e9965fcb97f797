// SPDX-License-Identifier: PMPL-1.0-or-later
// STATE.scm, META.scm and ECOSYSTEM.scm are for readers of other modules; here they are held against what is really in the tree.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { layers } from './module.js';

const root = join(import.meta.dirname, '../../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

type Datum = string | Datum[];

/** The data of a Scheme file: lists, strings and symbols; `;` begins a comment, a quote mark is passed over. */
function data(text: string): Datum[] {
  const top: Datum[] = [];
  const open: Datum[][] = [top];
  for (const [token] of text.matchAll(/;[^\n]*|"[^"]*"|[()]|[^\s()"';]+/g)) {
    const list = open.at(-1) ?? top;
    if (token.startsWith(';')) continue;
    if (token === '(') {
      const inner: Datum[] = [];
      list.push(inner);
      open.push(inner);
    } else if (token === ')') open.pop();
    else list.push(token.replace(/^"(.*)"$/, '$1'));
  }
  return top;
}

/** The rest of the entry `(name ...)` of a file that reads `(define _ '(entries))`. */
function entry(file: string, name: string): Datum[] {
  const [define] = data(read(file));
  const entries = Array.isArray(define) ? define.at(-1) : undefined;
  for (const item of Array.isArray(entries) ? entries : []) if (Array.isArray(item) && item[0] === name) return item.slice(1);
  throw new Error(`${file} has no entry ${name}`);
}

const version = (JSON.parse(read('package.json')) as { version: string }).version;
const components = entry('STATE.scm', 'components') as string[][];

describe('STATE.scm', () => {
  test('has the version of package.json', () => {
    expect(entry('STATE.scm', 'metadata')).toContainEqual(['version', version]);
  });

  test('names folders that exist, and none for what is planned', () => {
    for (const [name, folder, status] of components) {
      expect(['works', 'partial', 'planned'], name).toContain(status);
      if (status === 'planned') expect(folder, name).toBe('#f');
      else expect(existsSync(join(root, folder ?? '')), `${name}: ${folder}`).toBe(true);
    }
  });

  test('leaves out no kernel part, server or driver', () => {
    const folders = new Set(components.map(([, folder]) => folder));
    const parts = ['kernel-rs', 'servers-rs/servers', 'servers-rs/drivers'].flatMap((parent) =>
      readdirSync(join(root, parent)).map((name) => `${parent}/${name}`),
    );
    const crates = parts.filter((part) => existsSync(join(root, part, 'Cargo.toml')) && !/\/(fuzz|proofs)$/.test(part));
    expect(crates.filter((crate) => !folders.has(crate))).toEqual([]);
  });
});

test('META.scm lists the decisions that are written down', () => {
  const written = readdirSync(join(root, 'docs/decisions'))
    .filter((file) => file.endsWith('.adoc'))
    .map((file) => file.replace(/\.adoc$/, ''))
    .sort();
  expect(entry('META.scm', 'decisions')).toEqual(written);
});

test('ECOSYSTEM.scm says of the module what its manifest says', () => {
  const manifest = read('flatracoon-os.manifest.ncl');
  const list = (field: string): string[] =>
    [...(manifest.match(new RegExp(`^  ${field} = \\[(.*)\\]`, 'm'))?.[1] ?? '').matchAll(/"([^"]*)"/g)].map((m) => m[1] ?? '');
  expect(entry('ECOSYSTEM.scm', 'provides')).toEqual(list('provides'));
  expect(entry('ECOSYSTEM.scm', 'requires')).toEqual(list('requires'));
  expect(entry('ECOSYSTEM.scm', 'stack-layers')).toEqual([...layers]);
  expect(manifest).toContain(`layer = "${entry('ECOSYSTEM.scm', 'layer')[0]}"`);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Component } from '../config/types.ts';
import { UserError } from '../errors.ts';
import { dependencies, grantsAndLinks, linkedInterfaces } from './links.ts';

let root = '';
const files = {
  'Cargo.toml':
    'api-socket = { path = "api/socket" }\napi-log = { path = "api/log" }\nrt = { path = "lib/rt" }\nsockets = { path = "lib/sockets" }\n',
  'lib/rt/Cargo.toml': '[dependencies]\napi-log = { workspace = true }\n',
  'lib/sockets/Cargo.toml': '[dependencies]\napi-socket = { workspace = true }\nrt = { workspace = true }\n',
  'servers/client/Cargo.toml':
    '[dependencies]\nsockets.workspace = true\nrt = { workspace = true }\nserde = "1"\n\n[dev-dependencies]\napi-log = {}\n',
};
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'flatracoon-links-'));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(root, 'servers-rs', dirname(path)), { recursive: true });
    await writeFile(join(root, 'servers-rs', path), text);
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));

test('only what is built into a program counts', () => {
  expect(dependencies(files['servers/client/Cargo.toml'])).toEqual(['sockets', 'rt', 'serde']);
});

test('an interface that a library links is the program’s, but what every program links by rt is not', async () => {
  expect([...((await linkedInterfaces(root, ['client'])).get('client') ?? [])]).toEqual([['socket', 'client, sockets']]);
  expect((await linkedInterfaces(root, ['nobody'])).size).toBe(0);
});

test('a link by a library without a grant is refused with the library’s name', async () => {
  const client = { name: 'client', program: 'client', calls: [], serves: [] } as unknown as Component;
  const refuse = (code: string, _file: string, _path: readonly string[], message: string) => new UserError(message, { code });
  const found = grantsAndLinks([client], refuse, await linkedInterfaces(root, ['client']));
  expect(found.map(({ code, message }) => `${code}: ${message}`)).toEqual([
    'manifest/link-without-grant: components.client: `sockets`, which it links, links api-socket, but nothing grants `socket`',
  ]);
});

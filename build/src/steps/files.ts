// SPDX-License-Identifier: PMPL-1.0-or-later
// Small things that several steps do with files.
import { readFile, stat, writeFile } from 'node:fs/promises';
import type { Json } from '../engine/types.ts';

export async function sizeOf(path: string): Promise<number> {
  return (await stat(path)).size;
}

export async function readJson(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
}

export async function writeJson(path: string, value: Json | Readonly<Record<string, unknown>>): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, undefined, 2)}\n`);
}

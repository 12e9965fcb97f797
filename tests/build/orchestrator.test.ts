// SPDX-License-Identifier: PMPL-1.0-or-later
// The build of this tree as a person meets it: `just test` has built it once before these run, so each takes seconds.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { artifactsOf } from '../../build/src/testing.ts';
import { orchestrate } from '../support/config.ts';
import { root } from '../support/root.ts';

const { folder } = artifactsOf(root, 'dev');
const events = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

beforeAll(async () => {
  const ended = await orchestrate(['build-dev'], { CI: 'true' });
  expect(ended.code, ended.stderr).toBe(0);
});

test('a build with nothing changed runs no step', async () => {
  const ended = await orchestrate(['build-dev', '--json']);
  expect(ended.code).toBe(0);
  const all = events(ended.stdout);
  expect(all.find((event) => event.event === 'built')).toMatchObject({ profile: 'dev', ran: [], unreleased: true });
  expect(all.filter((event) => event.event === 'cached').length).toBeGreaterThan(10);
});

test('the plan tells every step, every input with its digest, the tools, and every partition with its place', async () => {
  const [plan] = events((await orchestrate(['plan', '--json'])).stdout) as [Record<string, never>];
  const { steps, disk, rust } = plan as unknown as {
    steps: {
      name: string;
      verdict: { kind: string };
      inputs: { label: string; sha256: string; text?: string }[];
      outputs: string[];
    }[];
    disk: { partitions: { label: string; start_bytes: number; size_bytes: number; content: string }[] };
    rust: { version: string };
  };
  expect(steps.map((step) => step.name)).toEqual(
    expect.arrayContaining(['kernel', 'loader', 'servers', 'bundle', 'slot', 'disk', 'publish']),
  );
  for (const step of steps) {
    expect(step.verdict.kind).toBe('same');
    for (const input of step.inputs) expect(input.sha256, `${step.name}: ${input.label}`).toMatch(/^([0-9a-f]{64}|absent)$/);
    expect(step.outputs.length).toBeGreaterThan(0);
  }
  expect(steps[0]?.inputs).toContainEqual(
    expect.objectContaining({ label: 'tool rustc', text: expect.stringContaining('1.96.0') }),
  );
  expect(rust.version).toContain('1.96.0');
  expect(disk.partitions.map((one) => [one.label, one.content])).toEqual([
    ['ESP', 'fat'],
    ['ROOT-A', 'slot'],
    ['ROOT-B', 'slot'],
    ['DATA', 'empty'],
  ]);
  const table = (await orchestrate(['plan'])).stdout;
  expect(table).toMatch(/^20 root-a +erofs\+verity +66 MiB \.\. 194 MiB +128 MiB +ROOT-A/m);
});

test('why says which input made an artifact, by step and by file name', async () => {
  for (const name of ['disk', 'flatracoon-os.raw', 'out/dev/flatracoon-os.raw']) {
    const { stdout, code } = await orchestrate(['why', name]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^disk makes raw disk of 388MiB: out\/dev\/flatracoon-os\.raw\nlast time +\d{4}-.*because\n +\S[\s\S]*\nnow +stay: nothing changed$/m,
    );
  }
});

test('the manifest has the digest of every artifact, and the versioned names are the same files', async () => {
  const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
  expect(manifest).toMatchObject({ name: 'flatracoon-os', profile: 'dev', unreleased: true });
  for (const name of ['flatracoon-os.raw', 'flatracoon-os.qcow2', 'kernel.elf', 'bundle.frb', 'BOOTX64.EFI']) {
    const { sha256, size_bytes } = manifest.files[name];
    expect(statSync(join(folder, name)).size).toBe(size_bytes);
    expect(
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
      name,
    ).toBe(sha256);
  }
  const versioned = join(folder, `flatracoon-os-${manifest.version}.raw`);
  expect(statSync(versioned).ino).toBe(statSync(join(folder, 'flatracoon-os.raw')).ino);
  expect((await readdir(folder)).filter((name) => name.includes('partial') || name.includes('scratch'))).toEqual([]);
});

test('no file of the image holds a path of this machine', async () => {
  for (const name of ['kernel.elf', 'bundle.frb', 'BOOTX64.EFI']) {
    const bytes = readFileSync(join(folder, name));
    expect(bytes.includes(root), `${name} holds ${root}`).toBe(false);
    expect(bytes.includes('/.cargo/'), `${name} holds a path of cargo's home`).toBe(false);
  }
});

test('the graph draws every component and every call', async () => {
  const [graph] = events((await orchestrate(['graph', '--json'])).stdout) as [Record<string, unknown>];
  const { components, edges, order } = graph as {
    components: { name: string }[];
    edges: { from: string; to: string }[];
    order: string[];
  };
  for (const edge of edges) if (edge.to !== 'process') expect(order.indexOf(edge.to)).toBeLessThan(order.indexOf(edge.from));
  const svg = readFileSync(join(root, 'out/graph.svg'), 'utf8');
  for (const { name } of components) expect(svg.includes(`>${name.replaceAll('-', '&#45;')}<`), name).toBe(true);
  expect(existsSync(join(root, 'out/graph.dot'))).toBe(true);
});

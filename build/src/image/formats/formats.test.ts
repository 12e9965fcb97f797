// SPDX-License-Identifier: PMPL-1.0-or-later
import { copyFile, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkQcow2, differenceOf } from '../../toolchain/qemu-img.ts';
import { validateDomain } from '../../toolchain/virt-xml-validate.ts';
import { canonicalJson, renderManifest } from '../manifest.ts';
import { planImage } from '../plan.ts';
import type { FormatRequest } from './format.ts';
import { formatNamed, formats } from './index.ts';

const MIB = 2 ** 20;
const plan = planImage({
  seed: 'test',
  slots: 'A',
  partitions: [
    {
      order: 90,
      name: 'data',
      label: 'DATA',
      type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
      size_bytes: 8 * MIB,
      content: 'empty',
      where: 'd',
    },
  ],
});
let folder = '';
let request: FormatRequest;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'formats-'));
  const raw = join(folder, 'disk.raw');
  const file = await open(raw, 'w');
  await file.truncate(plan.size_bytes);
  for (let at = 0; at < plan.size_bytes; at += 300_000) await file.write(`data at ${at}`, at);
  await file.close();
  const about = { name: 'flatracoon-os', version: '0.1.0-dev & <more> -- "x"', profile: 'prod', unreleased: true } as const;
  request = {
    raw,
    plan,
    about,
    machine: { memory_bytes: 512 * MIB, cpus: 2, tpm: true },
    out: '',
    disk_name: 'flatracoon-os.qcow2',
  };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const made = async (name: string, change: Partial<FormatRequest> = {}): Promise<string> => {
  const out = join(folder, `made-${name}`);
  await formatNamed(name, 'test').make({ ...request, ...change, out });
  return out;
};

describe('qcow2', () => {
  test('is whole and shows the same disk, compressed or not', async () => {
    for (const profile of ['dev', 'prod'] as const) {
      const out = await made('qcow2', { about: { ...request.about, profile } });
      expect(await checkQcow2(out)).toEqual([]);
      expect(await differenceOf(request.raw, out)).toBeUndefined();
    }
  });

  test('depends on the bytes alone, not on how the raw file is allocated', async () => {
    const full = join(folder, 'full.raw');
    await writeFile(full, await readFile(request.raw));
    for (const profile of ['dev', 'prod'] as const) {
      const about = { ...request.about, profile };
      const first = await readFile(await made('qcow2', { about }));
      expect((await readFile(await made('qcow2', { about, raw: full }))).equals(first)).toBe(true);
    }
  });
});

describe('a libvirt domain', () => {
  test.each(['libvirt', 'libvirt-secure-boot'])('%s is valid, whatever the version says', async (name) => {
    for (const tpm of [true, false]) {
      expect(await validateDomain(await made(name, { machine: { ...request.machine, tpm } }))).toEqual([]);
    }
  });

  test('with Secure Boot wants secure firmware, system management mode and our keys', async () => {
    const text = await readFile(await made('libvirt-secure-boot'), 'utf8');
    for (const part of ['secure="yes"', '<smm state="on"/>', 'ovmf-vars-secure-boot.fd']) expect(text).toContain(part);
  });

  test('is judged by a tool that refuses a wrong one', async () => {
    const wrong = join(folder, 'wrong.xml');
    await copyFile(await made('libvirt'), wrong);
    await writeFile(wrong, (await readFile(wrong, 'utf8')).replace('<vcpu>2</vcpu>', '<vcpu>two</vcpu>'));
    expect((await validateDomain(wrong)).join('\n')).toContain('vcpu');
  });
});

test('an unknown format is refused with those that there are', () => {
  expect(() => formatNamed('vmdk', 'images/variants/x.ncl')).toThrow('there is no format "vmdk"');
  expect(new Set(Object.values(formats).map((format) => format.suffix)).size).toBe(Object.keys(formats).length);
});

describe('the manifest', () => {
  test('is canonical: sorted keys, no spaces, the same for the same build', () => {
    expect(canonicalJson({ b: [1, 'x', null], a: { d: true, c: 'é' } })).toBe('{"a":{"c":"é","d":true},"b":[1,"x",null]}');
    const text = renderManifest({
      about: request.about,
      source: 'abc',
      source_date_epoch_seconds: 1,
      plan,
      files: { 'z.raw': { size_bytes: 1, sha256: 'aa' }, 'a.qcow2': { size_bytes: 2, sha256: 'bb' } },
      slot: { verity_root: 'cc' },
      signed_by: { commit_key: 'dd', loader_certificate: 'ee', development_keys: true },
    });
    const back = JSON.parse(text);
    expect(Object.keys(back)).toEqual(Object.keys(back).sort());
    expect(back).toMatchObject({ unreleased: true, disk: { partitions: [{ label: 'DATA' }] }, slot: { verity_root: 'cc' } });
    expect(text.indexOf('a.qcow2')).toBeLessThan(text.indexOf('z.raw'));
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
//
// Judges a finished raw image with tools that are not ours where there are any: tables, ESP, loader, slots, file digests.
// Changes nothing; works on copies of the partitions in a scratch folder. A check that finds something does not stop the others.

import { readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { fsckErofs } from '../toolchain/erofs-utils.ts';
import { fsckFat } from '../toolchain/mkfs-fat.ts';
import { listFiles, mtype } from '../toolchain/mtools.ts';
import { sbverify } from '../toolchain/sbverify.ts';
import { verifyTable } from '../toolchain/sgdisk.ts';
import { type SlotState, slotVerify } from '../toolchain/slot-tool.ts';
import { verifyVerity } from '../toolchain/veritysetup.ts';
import type { GptEntry, GptTable } from './gpt.ts';
import { extractPartition, readImageTable } from './read.ts';
import { digestFile } from './sparse.ts';

export interface VerifyRequest {
  readonly image: string;
  /** An empty folder that the caller removes. */
  readonly scratch: string;
  /** The host tool `slot`. */
  readonly slot_tool: string;
  /** Who must have signed the loader (PEM); undefined to leave that check out. */
  readonly certificate: string | undefined;
}

export interface Check {
  /** What was checked: `slot A: hash tree`. */
  readonly name: string;
  /** Which tool said so. */
  readonly by: string;
  /** Empty: it is good. */
  readonly problems: readonly string[];
  /** A fact worth showing. */
  readonly note: string;
}

const LOADER = '/EFI/BOOT/BOOTX64.EFI';
const BLOCK_BYTES = 4096;

/** Every check with what it found. Errors: UserError `image/missing`, `image/no-table`: then there is nothing to judge. */
export async function verifyImage(request: VerifyRequest): Promise<readonly Check[]> {
  const { table, faults } = await readImageTable(request.image);
  const checks: Check[] = [
    {
      name: 'partition table',
      by: 'sgdisk',
      problems: await verifyTable(request.image),
      note: `${table.entries.length} partitions`,
    },
    {
      name: 'both copies of it',
      by: 'gpt.ts',
      problems: faults.map((fault) => `${fault.copy}: ${fault.why}`),
      note: table.disk_guid,
    },
  ];
  const loader = await checkEsp(request, table, checks);
  if (loader !== undefined) await checkSlots(request, table, loader, checks);
  checks.push(...(await checkDigests(request.image)));
  return checks;
}

/** Returns the loader's file, for the keys in it. */
async function checkEsp(request: VerifyRequest, table: GptTable, checks: Check[]): Promise<string | undefined> {
  const entry = table.entries.find((one) => one.type === 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b');
  if (entry === undefined) {
    checks.push({ name: 'ESP', by: 'gpt.ts', problems: ['there is no EFI system partition'], note: '' });
    return undefined;
  }
  const esp = join(request.scratch, 'esp.img');
  await extractPartition(request.image, entry, esp);
  const problems = await fsckFat(esp);
  const files = problems.length === 0 ? await listFiles(esp) : [];
  checks.push({ name: 'ESP', by: 'fsck.fat', problems, note: files.join(' ') });
  if (!files.includes(LOADER)) {
    checks.push({ name: 'loader', by: 'mtools', problems: [`there is no ${LOADER}`], note: '' });
    return undefined;
  }
  const loader = join(request.scratch, 'loader.efi');
  await writeFile(loader, await mtype(esp, LOADER));
  if (request.certificate !== undefined) {
    const found = await sbverify(loader, request.certificate);
    checks.push({ name: "loader's signature", by: 'sbverify', problems: found, note: `by ${basename(request.certificate)}` });
  }
  return loader;
}

async function checkSlots(request: VerifyRequest, table: GptTable, loader: string, checks: Check[]): Promise<void> {
  // The loader's own keys: whether this loader would start these slots.
  const verdict = await slotVerify(request.slot_tool, request.image, loader);
  for (const slot of verdict.slots ?? []) {
    const name = slot.label ?? 'slot';
    checks.push({ name: `${name}: signature and tree`, by: 'slot verify', problems: slotProblems(slot), note: slotNote(slot) });
    const entry = table.entries.find((one) => one.name === slot.label);
    if (slot.state === 'good' && entry !== undefined) checks.push(...(await checkSlotContent(request, entry, slot, name)));
  }
  const general = (verdict.problems ?? []).filter(
    (problem) => !(verdict.slots ?? []).some((slot) => problem.startsWith(`${slot.label}:`)),
  );
  checks.push({ name: 'disk as the loader sees it', by: 'slot verify', problems: general, note: '' });
}

async function checkSlotContent(request: VerifyRequest, entry: GptEntry, slot: SlotState, name: string): Promise<Check[]> {
  const file = join(request.scratch, `${name}.img`);
  await extractPartition(request.image, entry, file);
  const { verity_root = '', data_blocks = 0 } = slot;
  const place = { file, hash_offset_bytes: data_blocks * BLOCK_BYTES, root_hex: verity_root };
  return [
    { name: `${name}: file system`, by: 'fsck.erofs', problems: await fsckErofs(file), note: `${slot.entries ?? 0} entries` },
    {
      name: `${name}: hash tree`,
      by: 'veritysetup',
      problems: await verifyVerity(place),
      note: `root ${verity_root.slice(0, 16)}…`,
    },
  ];
}

function slotProblems(slot: SlotState): string[] {
  return slot.state === 'refused' ? [`${slot.check}: ${slot.detail}`] : [];
}

function slotNote(slot: SlotState): string {
  if (slot.state === 'empty') return 'empty';
  return `${slot.version ?? ''}${slot.unreleased === true ? ' unreleased' : ''} commit ${slot.commit?.slice(0, 16) ?? ''}…`;
}

interface ManifestFiles {
  readonly files?: Readonly<Record<string, { readonly size_bytes: number; readonly sha256: string }>>;
}

/** The digests of `manifest.json` beside the image, if it speaks of this image. */
async function checkDigests(image: string): Promise<Check[]> {
  const folder = dirname(image);
  const text = await readFile(join(folder, 'manifest.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return [];
  const { files = {} } = parseManifest(text, folder);
  if (files[basename(image)] === undefined) return [];
  const checks: Check[] = [];
  for (const [name, said] of Object.entries(files)) {
    checks.push({
      name: `digest of ${name}`,
      by: 'manifest.json',
      problems: await compare(join(folder, name), said),
      note: said.sha256.slice(0, 16),
    });
  }
  return checks;
}

function parseManifest(text: string, folder: string): ManifestFiles {
  try {
    return JSON.parse(text) as ManifestFiles;
  } catch (cause) {
    throw new UserError('manifest.json is no JSON', {
      code: 'image/bad-manifest',
      where: join(folder, 'manifest.json'),
      hint: 'build again',
      cause,
    });
  }
}

async function compare(path: string, said: { readonly size_bytes: number; readonly sha256: string }): Promise<string[]> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return ['the file is missing'];
  if (found.size !== said.size_bytes) return [`it has ${found.size} bytes, the manifest says ${said.size_bytes}`];
  const sha256 = await digestFile(path);
  return sha256 === said.sha256 ? [] : [`it is ${sha256}, the manifest says ${said.sha256}`];
}

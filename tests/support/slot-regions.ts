// SPDX-License-Identifier: PMPL-1.0-or-later
// Where the parts of a slot lie on a disk, found from the outside: the trailer's header (contracts) gives image and tree,
// `fsck.erofs` gives the files, and a file's blocks are found by their content, since the image is not compressed.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Disk, run, type SlotName } from '../../build/src/testing.ts';

const blockBytes = 4096;
const trailerBytes = 64 * 1024;
/** Digests in one block of the tree. */
const fanOut = 128;

/** Byte offsets on the disk. */
export interface SlotRegions {
  readonly trailerHeader: number;
  readonly commit: number;
  /** Within the 64 bytes of the ed25519 signature. */
  readonly signature: number;
  readonly veritySuperblock: number;
  /** A digest on the way to the kernel's data in each level of the tree, the top first. */
  readonly treeLevels: readonly number[];
  readonly kernel: number;
  readonly bundle: number;
  /** Some native program's code. */
  readonly program: number;
}

export async function slotRegions(disk: Disk, slot: SlotName, program: string): Promise<SlotRegions> {
  const { offsetBytes, lengthBytes } = await disk.partition(`ROOT-${slot}`);
  const trailer = offsetBytes + lengthBytes - trailerBytes;
  const header = await disk.read(trailer, 88);
  if (header.toString('latin1', 0, 8) !== 'FRslot01') throw new Error(`slot ${slot} has no trailer`);
  const u32 = (at: number) => header.readUInt32LE(at);
  const u64 = (at: number) => Number(header.readBigUInt64LE(at));
  const [commit, meta] = [trailer + u32(16), { offset: trailer + u32(24), length: u32(28) }];
  const [imageBytes, verity] = [u64(32), offsetBytes + u64(40)];
  const image = await disk.read(offsetBytes, imageBytes);
  const files = await findFiles(image, ['boot/kernel.elf', 'boot/bundle.frb', program]);
  const kernelBlock = files[0]! / blockBytes;
  return {
    trailerHeader: trailer + 40,
    commit: commit + Math.floor(u32(20) / 2),
    signature: await signatureAt(disk, meta),
    veritySuperblock: verity + 64,
    treeLevels: treePath(imageBytes / blockBytes, kernelBlock).map((at) => verity + blockBytes + at),
    kernel: offsetBytes + files[0]!,
    bundle: offsetBytes + files[1]!,
    program: offsetBytes + files[2]!,
  };
}

/** Offset of a digest in each level, from the tree's start; levels stand top first. */
function treePath(dataBlocks: number, block: number): number[] {
  const sizes: number[] = [];
  for (let count = dataBlocks; count > 1 || sizes.length === 0; ) {
    count = Math.ceil(count / fanOut);
    sizes.push(count);
  }
  let start = 0;
  return [...sizes.keys()].reverse().map((level) => {
    const digest = Math.floor(block / fanOut ** level);
    const at = (start + Math.floor(digest / fanOut)) * blockBytes + (digest % fanOut) * 32;
    start += sizes[level]!;
    return at;
  });
}

/** The signature follows its key in the detached metadata: the last 64 bytes before the framing offsets of GVariant. */
async function signatureAt(disk: Disk, meta: { readonly offset: number; readonly length: number }): Promise<number> {
  const bytes = await disk.read(meta.offset, meta.length);
  const key = bytes.indexOf('ostree.sign.ed25519');
  if (key === -1) throw new Error('the detached metadata holds no ed25519 signature');
  // Past the key, its zero and padding to the array; 8 further on is inside the signature for any padding.
  return meta.offset + key + 'ostree.sign.ed25519'.length + 16;
}

/** A block in the middle of each file, as an offset into the image. */
async function findFiles(image: Buffer, paths: readonly string[]): Promise<number[]> {
  const folder = await mkdtemp(join(tmpdir(), 'flatracoon-slot-'));
  try {
    const file = join(folder, 'image.erofs');
    await writeFile(file, image);
    await run('fsck.erofs', [`--extract=${join(folder, 'tree')}`, '--no-preserve', file]);
    return await Promise.all(paths.map(async (path) => blockOf(image, await readFile(join(folder, 'tree', path)), path)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function blockOf(image: Buffer, content: Buffer, path: string): number {
  const middle = Math.floor(content.byteLength / 2 / blockBytes) * blockBytes;
  const block = content.subarray(middle, middle + blockBytes);
  for (let at = image.indexOf(block); at !== -1; at = image.indexOf(block, at + 1)) if (at % blockBytes === 0) return at;
  throw new Error(`no block of ${path} was found in the image`);
}

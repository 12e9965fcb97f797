// SPDX-License-Identifier: PMPL-1.0-or-later
// What `tests/image` may use of this folder and of the stock tools that judge an image. `../testing.ts` passes it on.
export { developmentKeys, type KeyFiles, keyFiles, keyFolder } from '../keys/development.ts';
export { extractErofs, fsckErofs } from '../toolchain/erofs-utils.ts';
export { fsckFat } from '../toolchain/mkfs-fat.ts';
export { listFiles, mtype } from '../toolchain/mtools.ts';
export { checkQcow2, differenceOf } from '../toolchain/qemu-img.ts';
export { sbverify } from '../toolchain/sbverify.ts';
export { partitionInfo, printTable, verifyTable } from '../toolchain/sgdisk.ts';
export { slotBuild, slotExtract, slotInspect, slotVerify } from '../toolchain/slot-tool.ts';
export { verifyVerity } from '../toolchain/veritysetup.ts';
export { validateDomain } from '../toolchain/virt-xml-validate.ts';
export { decodeSlotState, type GptEntry } from './gpt.ts';
export { extractPartition, readImageTable } from './read.ts';
export { verifyImage } from './verify.ts';

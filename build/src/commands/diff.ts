// SPDX-License-Identifier: PMPL-1.0-or-later
// `diff`: what changed between two images: who may do more or less than before, and which files of the root differ.
// The reading is here; what counts as more authority is in `manifest/authority.ts`.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { type TreeChange, treeChanges } from '../image/tree-changes.ts';
import { type BundleReport, type Change, changes } from '../manifest/authority.ts';
import { findTool } from '../qemu/artifacts.ts';
import { bundle } from '../toolchain/host-tools.ts';
import { convertToRaw } from '../toolchain/qemu.ts';
import { type SlotReport, slotExtract, slotInspect } from '../toolchain/slot-tool.ts';
import { type Command, type CommandContext, flag, text } from './command.ts';
import { table } from './table.ts';

export const command: Command = {
  usage: '[OLD] [NEW] [--slot A|B] [--gate]',
  help: `Says what changed between two images: what each component may do more or less than before, other settings, and which files of the
root differ. OLD and NEW are a raw or qcow2 image, or a folder with flatracoon-os.raw in it. Nothing is verified: \`just verify\` does that.

  --slot A|B   which slot of both to compare (A)
  --gate       end with 1 when a component may do more than before, for a pipeline that wants a review first`,
  options: { slot: { type: 'string' }, gate: { type: 'boolean' } },
  positionals: 2,
  run: diff,
};

interface Image {
  readonly path: string;
  readonly slot: SlotReport;
  readonly bundle: BundleReport;
  /** Where its tree was extracted to. */
  readonly tree: string;
}

async function diff(context: CommandContext): Promise<number> {
  const [old, now] = context.positionals;
  if (old === undefined || now === undefined)
    throw new UserError('`diff` compares two images', { code: 'diff/images', hint: 'just diff OLD NEW; see `just diff --help`' });
  const slot = text(context.values, 'slot')?.toUpperCase() ?? 'A';
  if (slot !== 'A' && slot !== 'B')
    throw new UserError(`--slot ${slot} is not one of A, B`, { code: 'diff/slot', hint: 'use --slot A or --slot B' });
  const scratch = await mkdtemp(join(tmpdir(), 'fr-diff-'));
  try {
    const before = await readImage(old, slot, join(scratch, 'old'), context);
    const after = await readImage(now, slot, join(scratch, 'new'), context);
    const authority = changes(before.bundle, after.bundle);
    show(before, after, authority, await treeChanges(before.tree, after.tree), context);
    return flag(context.values, 'gate') && authority.some((one) => one.authority === 'more') ? 1 : 0;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function readImage(given: string, slot: 'A' | 'B', scratch: string, { root, signal }: CommandContext): Promise<Image> {
  const path = await imageAt(given);
  let raw = path;
  if (extname(path) === '.qcow2') {
    raw = `${scratch}.raw`;
    await convertToRaw({ disk: path, format: 'qcow2', out: raw });
  }
  const report = await slotInspect(tool(root, 'slot'), raw, slot, { signal });
  await slotExtract(tool(root, 'slot'), raw, scratch, { slot, signal });
  const file = join(scratch, 'files/boot/bundle.frb');
  const said = await bundle(tool(root, 'bundle'), ['inspect', file], { signal, onLine: () => undefined });
  return { path, slot: report, bundle: said as unknown as BundleReport, tree: scratch };
}

async function imageAt(given: string): Promise<string> {
  const path = resolve(given);
  const found = await stat(path).catch(() => undefined);
  const image = found?.isDirectory() === true ? join(path, 'flatracoon-os.raw') : path;
  if (existsSync(image)) return image;
  throw new UserError(`there is no image at ${image}`, { code: 'image/missing', hint: 'build one: `just build-dev`' });
}

/** Left by a build, whatever its profile. */
function tool(root: string, name: 'slot' | 'bundle'): string {
  const found = findTool(root, name);
  if (found !== undefined) return found;
  throw new UserError('the tools that read slots and bundles are not built', {
    code: 'diff/not-built',
    hint: 'run `just build-dev` first',
  });
}

function show(
  before: Image,
  after: Image,
  authority: readonly Change[],
  files: readonly TreeChange[],
  context: CommandContext,
): void {
  const more = authority.filter((one) => one.authority === 'more');
  if (context.json) {
    const said = ({ path, slot, bundle: { version, profile } }: Image) => ({
      path,
      version,
      profile,
      commit: slot.commit,
      rollback_index: slot.rollback_index,
    });
    context.log.event('diff', { old: said(before), new: said(after), more: more.length, authority, files });
    return;
  }
  const about = (one: Image) => [
    one.bundle.version,
    one.bundle.profile,
    String(one.slot.rollback_index),
    one.slot.commit.slice(0, 12),
  ];
  context.print(
    table(
      ['', 'version', 'profile', 'rollback index', 'commit', 'image'],
      [
        ['old', ...about(before), before.path],
        ['new', ...about(after), after.path],
      ],
    ),
  );
  const sign = { more: '+ more', less: '- less', other: '' };
  if (authority.length > 0) {
    const rows = authority.map((one) => [sign[one.authority], one.who, one.what, one.old || 'none', one.new || 'none']);
    context.print(`\n${table(['authority', 'who', 'what', 'old', 'new'], rows)}`);
  }
  if (files.length > 0) {
    const rows = files.map((one) => [one.change, one.path, one.what.join(', ')]);
    context.print(`\n${table(['file', 'path', 'what'], rows)}`);
  }
  const who = [...new Set(more.map((one) => one.who))];
  context.print(`\nmay do more than before: ${who.length === 0 ? 'nobody' : who.join(', ')}`);
}

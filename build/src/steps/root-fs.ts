// SPDX-License-Identifier: PMPL-1.0-or-later
// The OS tree, described (`tree.json`): kernel, bundle, programs, what says which release this is, over the packages of the base, and
// images/root-fs over all. Owners and modes are written here or in the packages, so neither root nor the user's umask has a say.
import { readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { byPath, type TreeEntry } from '../base/merge.ts';
import type { Step } from '../engine/types.ts';
import { InternalError, UserError } from '../errors.ts';
import { withoutSections } from '../image/elf.ts';
import { bundle } from '../toolchain/host-tools.ts';
import { baseTreeFile } from './base.ts';
import type { Build } from './build.ts';
import { bundleFile } from './bundle.ts';
import { readJson, writeJson } from './files.ts';
import { kernelFile, programFile, toolFile } from './rust.ts';

export const treeFile = (build: Build) => join(build.workDir, 'tree.json');

type Entry = TreeEntry & { readonly mode: string };

export function rootFsStep(build: Build): Step {
  const { config, workDir, root } = build;
  const extra = join(root, 'images/root-fs');
  const inRoot = config.components.filter((one) => one.from.startsWith('root:'));
  const files = {
    kernel: join(workDir, 'kernel.stripped.elf'),
    osRelease: join(workDir, 'os-release'),
    release: join(workDir, 'release.json'),
  };
  const stripped = (program: string) => join(workDir, 'programs', `${program}.stripped.elf`);
  return {
    name: 'root-fs',
    makes: 'OS tree',
    inputs: [
      { kind: 'step', step: 'host-tools' },
      { kind: 'step', step: 'kernel' },
      { kind: 'step', step: 'servers' },
      { kind: 'step', step: 'bundle' },
      { kind: 'step', step: 'base' },
      { kind: 'tree', path: extra },
      { kind: 'value', name: 'release', value: releaseFacts(build) },
      { kind: 'value', name: 'programs', value: inRoot.map(({ from, program }) => ({ from, program })) },
    ],
    outputs: [treeFile(build), ...Object.values(files), ...new Set(inRoot.map((one) => stripped(one.program)))],
    async run(context) {
      const tool = toolFile(build, 'bundle');
      await writeFile(context.temporary(files.kernel), withoutSections(await readFile(kernelFile(build)), kernelFile(build)));
      for (const program of new Set(inRoot.map((one) => one.program)))
        await bundle(tool, ['strip', programFile(build, program), context.temporary(stripped(program))], context);
      await writeFile(context.temporary(files.osRelease), osRelease(build));
      await writeJson(context.temporary(files.release), releaseFacts(build));
      const entries: Entry[] = [
        file('/boot/kernel.elf', files.kernel),
        file('/boot/bundle.frb', bundleFile(build)),
        file('/usr/lib/os-release', files.osRelease),
        file('/usr/lib/flatracoon/release.json', files.release),
        { path: '/etc/os-release', kind: 'symlink', mode: '0777', target: '../usr/lib/os-release' },
        ...inRoot.map((one) => file(one.from.slice('root:'.length), stripped(one.program), '0755')),
      ];
      const base = (await readJson(baseTreeFile(build))) as { entries: TreeEntry[] };
      const tree = overlaid(base.entries, withFolders(entries), await copied(extra, ''));
      await writeJson(context.temporary(treeFile(build)), { entries: tree });
      return `${tree.length} entries`;
    },
  };
}

/** `/usr/lib/flatracoon/release.json`: what the running system knows of itself. */
function releaseFacts(build: Build) {
  const { config, profile, version, source, sourceDateEpoch, keys } = build;
  const { channel, rollback_index, confirm_within_ms } = config.update;
  return {
    name: 'flatracoon-os',
    version,
    profile,
    source,
    source_date_epoch_seconds: sourceDateEpoch,
    channel,
    rollback_index,
    confirm_within_ms,
    unreleased: keys.unreleased,
  };
}

/** os-release(5). */
function osRelease({ version, profile, config }: Build): string {
  const lines = {
    NAME: 'FlatRacoon OS',
    ID: 'flatracoon',
    PRETTY_NAME: `FlatRacoon OS ${version}`,
    VERSION_ID: version.split(/[-+]/)[0] ?? version,
    IMAGE_ID: 'flatracoon-os',
    IMAGE_VERSION: version,
    VARIANT_ID: profile,
    RELEASE_TYPE: config.update.channel === 'stable' ? 'stable' : 'development',
  };
  return Object.entries(lines)
    .map(([key, value]) => `${key}="${value}"\n`)
    .join('');
}

function file(path: string, source: string, mode = '0644'): Entry {
  return { path, kind: 'file', mode, source };
}

/** Of images/root-fs only the executable bit is taken: git keeps no other. */
async function copied(folder: string, at: string): Promise<Entry[]> {
  const list = await readdir(join(folder, at), { withFileTypes: true }).catch(() => []);
  const entries: Entry[] = [];
  for (const one of list) {
    if (at === '' && /^README\b/.test(one.name)) continue;
    const path = `${at}/${one.name}`;
    const source = join(folder, path);
    if (one.isDirectory()) entries.push({ path, kind: 'directory', mode: '0755' }, ...(await copied(folder, path)));
    else if (one.isSymbolicLink()) entries.push({ path, kind: 'symlink', mode: '0777', target: await readlink(source) });
    else if (!one.isFile()) throw notCopied(source);
    else entries.push(file(path, source, ((await stat(source)).mode & 0o100) === 0 ? '0644' : '0755'));
  }
  return entries;
}

function notCopied(path: string): UserError {
  const hint = 'put only files, folders and symbolic links there; device nodes are not copied, they are described';
  return new UserError(`${path} is neither file, folder nor symbolic link`, {
    code: 'root-fs/unsupported-file',
    where: path,
    hint,
  });
}

/** Every folder on the way. A path that two things claim is our fault. */
function withFolders(entries: readonly Entry[]): TreeEntry[] {
  const all = new Map<string, TreeEntry>([['/', { path: '/', kind: 'directory', mode: '0755' }]]);
  for (const entry of entries) {
    for (const path of foldersOf(entry.path)) if (!all.has(path)) all.set(path, { path, kind: 'directory', mode: '0755' });
    if (all.has(entry.path) && entry.kind !== 'directory')
      throw new InternalError(`two things are to be ${entry.path} in the OS tree`);
    all.set(entry.path, entry);
  }
  return [...all.values()];
}

/**
 * The base, over it what is built, over that images/root-fs: a later layer's file takes an earlier one's place, a folder keeps its mode.
 * Sorted by bytes, with owner and attributes, as tree.json has it. Errors: `UserError` `root-fs/not-a-folder`.
 */
function overlaid(...layers: readonly (readonly TreeEntry[])[]) {
  const all = new Map<string, TreeEntry>();
  for (const entry of layers.flat()) {
    for (const path of foldersOf(entry.path)) {
      const folder = all.get(path) ?? { path, kind: 'directory', mode: '0755' };
      if (folder.kind !== 'directory') throw notAFolder(folder, entry);
      all.set(path, folder);
    }
    const before = all.get(entry.path);
    if (before?.kind === 'directory' && entry.kind !== 'directory') throw notAFolder(entry, before);
    if (before?.kind !== 'directory') all.set(entry.path, entry);
  }
  return byPath([...all.values()]).map((entry) => {
    if (entry.kind === 'hardlink') return entry;
    const { path, kind, mode, ...rest } = entry;
    const whole = { path, kind, mode, uid: 0, gid: 0, ...rest };
    return kind === 'symlink' ? whole : { ...whole, xattrs: {} };
  });
}

function foldersOf(path: string): string[] {
  const parts = path.split('/').slice(1, -1);
  return parts.map((_, n) => `/${parts.slice(0, n + 1).join('/')}`);
}

function notAFolder(one: TreeEntry, below: TreeEntry): UserError {
  return new UserError(`${one.path} is a ${one.kind} in the OS tree, but ${below.path} wants a folder there`, {
    code: 'root-fs/not-a-folder',
    where: one.path,
    hint: 'the base has /bin, /lib and /sbin below /usr: put files there, or take the path out of one of the two',
  });
}

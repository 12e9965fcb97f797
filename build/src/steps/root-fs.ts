// SPDX-License-Identifier: PMPL-1.0-or-later
// The OS tree, described (`tree.json`): kernel, bundle, programs, what says which release this is, and images/root-fs as it is.
// Everything belongs to 0:0 with modes written here, so neither root nor the user's umask has a say.
import { readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Step } from '../engine/types.ts';
import { InternalError, UserError } from '../errors.ts';
import { withoutSections } from '../image/elf.ts';
import { bundle } from '../toolchain/host-tools.ts';
import type { Build } from './build.ts';
import { bundleFile } from './bundle.ts';
import { writeJson } from './files.ts';
import { kernelFile, programFile, toolFile } from './rust.ts';

export const treeFile = (build: Build) => join(build.workDir, 'tree.json');

interface Entry {
  readonly path: string;
  readonly kind: 'directory' | 'file' | 'symlink';
  readonly mode: string;
  readonly source?: string;
  readonly target?: string;
}

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
        ...(await copied(extra, '')),
      ];
      await writeJson(context.temporary(treeFile(build)), { entries: withFolders(entries) });
      return `${entries.length} files`;
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

/** Every folder on the way, then sorted by bytes, as tree.json has it. A path that two things claim is our fault. */
function withFolders(entries: readonly Entry[]) {
  const all = new Map<string, Entry>([['/', { path: '/', kind: 'directory', mode: '0755' }]]);
  for (const entry of entries) {
    const parts = entry.path.split('/').slice(1, -1);
    parts.forEach((_, n) => {
      const path = `/${parts.slice(0, n + 1).join('/')}`;
      if (!all.has(path)) all.set(path, { path, kind: 'directory', mode: '0755' });
    });
    if (all.has(entry.path) && entry.kind !== 'directory')
      throw new InternalError(`two things are to be ${entry.path} in the OS tree`);
    all.set(entry.path, entry);
  }
  return [...all.values()]
    .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
    .map(({ path, kind, mode, ...rest }) => ({ path, kind, mode, uid: 0, gid: 0, xattrs: {}, ...rest }))
    .map(({ xattrs, ...rest }) => (rest.kind === 'symlink' ? rest : { ...rest, xattrs }));
}

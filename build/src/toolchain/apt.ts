// SPDX-License-Identifier: PMPL-1.0-or-later
// apt, asked without touching this machine's packages: a private folder holds its state, the machine's own sources say where packages are.
// Needs no root. Used to lock the base image's packages and to fetch what is locked (base/lock.ts, base/fetch.ts).
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, type RunResult, run } from './exec.ts';

export interface Apt {
  readonly options: readonly string[];
  readonly signal: AbortSignal;
  readonly onLine?: (line: string) => void;
}

export interface AptVersion {
  readonly name: string;
  readonly version: string;
}

export interface AptPackage extends AptVersion {
  readonly architecture: string;
  readonly sha256: string;
  readonly size_bytes: number;
}

export interface AptRequest {
  /** Where its state goes. */
  readonly folder: string;
  /** The release that packages are taken from, with its updates: `bookworm`. */
  readonly suite: string;
  /** Packages that count as installed. */
  readonly supplied: readonly string[];
  /** `own`: lists of its own, empty until `update`. `machine`: those that the machine has fetched. */
  readonly lists: 'own' | 'machine';
  /** A file of apt's sources instead of the machine's. */
  readonly sources?: string;
  readonly signal: AbortSignal;
  readonly onLine?: (line: string) => void;
}

/** Above every version that a package asks for. */
const anyVersion = '9999:1';

export async function openApt(request: AptRequest): Promise<Apt> {
  const { folder, suite, supplied, lists, sources, signal, onLine } = request;
  for (const name of ['lists/partial', 'archives/partial']) await mkdir(join(folder, name), { recursive: true });
  const status = join(folder, 'status');
  const preferences = join(folder, 'preferences');
  await writeFile(status, supplied.map(installed).join('\n'));
  // Sources of other releases and makers may stand beside Debian's: they are not looked at.
  const pin = (which: string, priority: number) => `Package: *\nPin: release ${which}\nPin-Priority: ${priority}\n`;
  await writeFile(preferences, `${pin(`o=Debian,n=${suite}*`, 990)}\n${pin('o=*', -1)}`);
  const settings = {
    'Dir::State::status': status,
    ...(lists === 'own' ? { 'Dir::State::lists': join(folder, 'lists') } : {}),
    ...(sources === undefined ? {} : { 'Dir::Etc::SourceList': sources, 'Dir::Etc::SourceParts': '/dev/null' }),
    'Dir::Cache': folder,
    'Dir::Cache::archives': join(folder, 'archives'),
    'Dir::Cache::pkgcache': join(folder, 'pkgcache.bin'),
    'Dir::Cache::srcpkgcache': join(folder, 'srcpkgcache.bin'),
    'Dir::Etc::Preferences': preferences,
    'Dir::Etc::PreferencesParts': '/dev/null',
    'APT::Architecture': 'amd64',
    'APT::Sandbox::User': 'root',
    'APT::Install-Recommends': 'false',
    // Hooks are the machine's affair.
    'DPkg::Post-Invoke': '',
    'APT::Update::Post-Invoke': '',
    'APT::Update::Post-Invoke-Success': '',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  return { options, signal, ...(onLine === undefined ? {} : { onLine }) };
}

/** Fetches the lists. A source that does not answer is no failure here: what is missing shows when it is asked for. */
export async function aptUpdate(apt: Apt): Promise<void> {
  await call(apt, 'apt-get', ['-q', 'update'], { ok: 'any' });
}

/** Packages with all that they depend on, sorted. undefined when apt finds no solution; `why` then holds its words. */
export async function aptSolve(
  apt: Apt,
  packages: readonly string[],
): Promise<{ readonly found?: readonly AptVersion[]; readonly why: string }> {
  const ended = await call(apt, 'apt-get', ['-q', '-s', 'install', ...packages], { ok: 'any' });
  if (ended.code !== 0) return { why: `${ended.stdout}\n${ended.stderr}`.trim() };
  const found = [...ended.stdout.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+) /gm)].map((match) => ({
    name: (match[1] ?? '').replace(/:\w+$/, ''),
    version: match[2] ?? '',
  }));
  return { found: found.sort((a, b) => (a.name < b.name ? -1 : 1)), why: '' };
}

/** What the lists say of these versions; one that they do not have is left out. */
export async function aptShow(apt: Apt, versions: readonly AptVersion[]): Promise<AptPackage[]> {
  const words = versions.map(({ name, version }) => `${name}=${version}`);
  const { stdout } = await call(apt, 'apt-cache', ['-q', '--no-all-versions', 'show', ...words], { ok: 'any' });
  return stdout.split(/\n\n+/).flatMap((paragraph) => {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1] ?? '';
    const name = field('Package');
    if (name === '') return [];
    const size_bytes = Number(field('Size'));
    return [{ name, version: field('Version'), architecture: field('Architecture'), sha256: field('SHA256'), size_bytes }];
  });
}

/** Downloads into `folder`, under apt's names. Errors: `CommandError` with apt's words. */
export async function aptDownload(apt: Apt, versions: readonly AptVersion[], folder: string): Promise<void> {
  const words = versions.map(({ name, version }) => `${name}=${version}`);
  await call(apt, 'apt-get', ['-q', 'download', ...words], { cwd: folder });
}

function call(
  { options, signal, onLine }: Apt,
  program: string,
  args: readonly string[],
  more: { readonly ok?: 'any'; readonly cwd?: string },
): Promise<RunResult> {
  const listen = onLine === undefined ? {} : { onLine };
  return run(program, [...options, ...args], {
    ...more,
    ...listen,
    signal,
    env: { LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
  });
}

export function aptWords(error: unknown): string | undefined {
  if (!(error instanceof CommandError)) return undefined;
  return error.result.stderr.split('\n').find((line) => line.startsWith('E:')) ?? error.message;
}

/** A paragraph of dpkg's status file. Whoever needs it on another architecture is content too. */
function installed(name: string): string {
  const provides = name === 'debconf' ? 'Provides: debconf-2.0\n' : '';
  return `Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: foreign\nVersion: ${anyVersion}\n${provides}Maintainer: none\nDescription: left out\n`;
}

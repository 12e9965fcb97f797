// SPDX-License-Identifier: PMPL-1.0-or-later
// Programs of the base in a cell, from the verity root: each script runs on this Linux first, by the very file that the image holds,
// and must say the same in the cell.
import { chmod, copyFile, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect } from 'vitest';
import { type Machine, run } from '../../build/src/testing.ts';
import { type Direct, it } from '../support/direct.ts';
import { root } from '../support/root.ts';
import { suiteBundle } from '../support/suite.ts';

interface TreeEntry {
  readonly path: string;
  readonly source?: string;
}

/** A file of the image, to be run by this host. */
async function copyOf(path: string, folder: string): Promise<string> {
  const tree = JSON.parse(await readFile(join(root, 'out/dev/.build/tree.json'), 'utf8')) as { entries: TreeEntry[] };
  const source = tree.entries.find((entry) => entry.path === path)?.source;
  if (source === undefined) throw new Error(`the image has no file ${path}`);
  const copy = join(folder, basename(path));
  await copyFile(source, copy);
  await chmod(copy, 0o755);
  return copy;
}

/** Scripts for the static shell of busybox, which runs its own applets. */
const applets: Readonly<Record<string, string>> = {
  'says hello': 'echo hello from a program',
  'joins programs by pipes':
    'busybox seq 1 20 | busybox grep 1 | busybox sort -rn | busybox head -n 3; echo a b c | busybox wc -w',
  'waits for children and tells how they ended':
    // What the shell itself says of the killed one depends on when it looks.
    'exec 2>/dev/null; (exit 7); echo $?; busybox sleep 100 & kill -TERM $!; wait $!; echo $?; busybox false || echo no',
  'handles signals': "trap 'echo caught' USR1; kill -USR1 $$; trap - USR1; echo on",
  'makes, reads and removes files': [
    'cd /tmp; busybox mkdir d.$$; cd d.$$; echo one > a; echo two >> a; busybox cp a b; busybox cat b; busybox ln -s a c',
    'busybox readlink c; busybox ls -1; cd ..; busybox rm -r d.$$; test -e d.$$ || echo gone',
  ].join('; '),
  computes: 'i=0; while [ $i -lt 50 ]; do i=$((i+1)); done; echo $i; printf "%05d|%x\\n" 42 255; echo text | busybox md5sum',
};
/** Scripts for bash, with the C library and the programs of the base as they are: shared objects, loaded by their own loader. */
const dynamic: Readonly<Record<string, string>> = {
  'runs in bash': 'a=(1 2 3); echo $a; [[ abc =~ b(.) ]] && echo yes; read -r x <<< text; echo $x',
  'joins programs of coreutils, grep and sed by pipes':
    "seq 1 100 | grep 7 | sed 's/7/seven/' | sort | uniq | wc -l; printf 'b\\na\\n' | sort | tr '\\n' ' '; echo; echo text | sha256sum",
  'substitutes commands and documents': 'echo "$(echo inner) $(expr 6 \\* 7)"; cat <<END\nfirst\n$((2 + 2))\nEND',
  'packs and unpacks': [
    'cd /tmp; mkdir p.$$; cd p.$$; mkdir t; seq 1 1000 > t/n; tar cf t.tar t; gzip t.tar; rm -r t; gunzip t.tar.gz; tar xf t.tar',
    'tail -n 1 t/n; find t | sort; cd ..; rm -r p.$$',
  ].join('; '),
};

/** Larger programs, of an image that holds them. This host may have other versions or none: what they say is known. */
const large: Readonly<Record<string, readonly [readonly string[], readonly string[]]>> = {
  'python3 starts threads and programs': [
    [
      '/usr/bin/python3',
      '-c',
      [
        'import json, subprocess, threading',
        'print(json.dumps({"a": [1, 2]}), subprocess.run(["echo", "sub"], capture_output=True, text=True).stdout.strip())',
        'found = []',
        'threads = [threading.Thread(target=lambda n=n: found.append(n * n)) for n in range(4)]',
        '[one.start() for one in threads]; [one.join() for one in threads]; print(sorted(found))',
      ].join('\n'),
    ],
    ['{"a": [1, 2]} sub', '[0, 1, 4, 9]'],
  ],
  'perl runs programs': [
    ['/usr/bin/perl', '-e', 'print join(",", map { $_ * 2 } 1..5), "\n"; print `echo from perl`'],
    ['2,4,6,8,10', 'from perl'],
  ],
  'git commits and clones': [
    [
      '/usr/bin/bash',
      '-c',
      [
        'exec 2>&1; cd /tmp; export HOME=/tmp GIT_PAGER=cat; git init -q one; cd one; git config user.email a@b; git config user.name n',
        'echo text > file; git add file; git commit -q -m first; git log --format=%s; git clone -q /tmp/one /tmp/two; cat /tmp/two/file',
        'git -C /tmp/two status --short; git -C /tmp/two fsck --full --no-progress && echo sound',
      ].join('; '),
    ],
    ['first', 'text', 'sound'],
  ],
  'sqlite3 keeps a table': [
    [
      '/usr/bin/bash',
      '-c',
      'cd /tmp; sqlite3 d "create table t(a, b); insert into t values(1, 2), (3, 4); select sum(a * b) from t"; sqlite3 d "select count(*) from t"',
    ],
    ['14', '2'],
  ],
};

/** What the script says on this Linux, and in a cell. */
async function compare(direct: Direct, program: string, args: readonly string[], path: string): Promise<void> {
  const linux = await run(await copyOf(program, direct.folder), args, { env: { PATH: path } });
  const bundle = await suiteBundle('cell', 'dev', [program, ...args]);
  const { console } = await direct.start({ cpus: 2, bundle });
  expect(await saidBy(console)).toEqual([...linux.stdout.trimEnd().split('\n'), ended]);
}

const ended = 'the first process ended, code 0';

async function saidBy(console: Machine['console']): Promise<string[]> {
  await console.waitFor(/^cell: the first process ended, /, { timeoutMs: 120_000 });
  return console.lines.flatMap(({ text }) => /^cell: (?!\S+ asks for call )(.*)$/.exec(text)?.[1] ?? []);
}

describe('a static program of the base in a cell', () => {
  for (const [promise, script] of Object.entries(applets)) {
    it(`${promise}, as on Linux`, ({ direct }) =>
      compare(direct, '/usr/bin/busybox', ['sh', '-c', `exec 2>&1; ${script}; :`], direct.folder));
  }
});

describe('a dynamic program of the base in a cell', () => {
  for (const [promise, script] of Object.entries(dynamic)) {
    it(`${promise}, as on Linux`, ({ direct }) =>
      compare(direct, '/usr/bin/bash', ['-c', `exec 2>&1; ${script}\n:`], '/usr/bin:/bin'));
  }
});

describe('a large program in a cell', () => {
  for (const [promise, [args, expected]] of Object.entries(large)) {
    it(promise, async ({ direct }) => {
      const bundle = await suiteBundle('cell', 'dev', args);
      const { console } = await direct.start({ cpus: 2, bundle, variant: 'linux-tests', memoryMiB: 768 });
      expect(await saidBy(console)).toEqual([...expected, ended]);
    });
  }
});

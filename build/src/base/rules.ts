// SPDX-License-Identifier: PMPL-1.0-or-later
// What is refused of configs/base.ncl beyond the contracts of single values. Each returns all that it found.
import type { Base, Variant } from '../config/types.ts';
import type { UserError } from '../errors.ts';
import { nearest } from '../near.ts';

const file = 'configs/base.ncl';
type Refuse = (code: string, file: string, path: readonly string[], message: string, hint: string) => UserError;

export function checkBase(base: Base, variants: readonly Variant[], refuse: Refuse): UserError[] {
  return [...source(base, refuse), ...groups(base, variants, refuse), ...packages(base, refuse), ...users(base, refuse)];
}

function source(base: Base, refuse: Refuse): UserError[] {
  if (base.source === 'Debian') return [];
  const message = `source: ${base.source} is a source that the build cannot read yet: its images have no packages, but one tree`;
  return [
    refuse(
      'base/source-later',
      file,
      ['source'],
      message,
      'use "Debian" until then; what the image needs of a source is the same',
    ),
  ];
}

function groups(base: Base, variants: readonly Variant[], refuse: Refuse): UserError[] {
  const known = Object.keys(base.groups);
  const uses = [
    ...Object.entries(base.profiles).map(([name, list]) => ({ file, path: ['profiles', name], list })),
    ...variants.map((one) => ({ file: `images/variants/${one.name}.ncl`, path: ['base'], list: one.base })),
  ];
  return uses.flatMap((use) =>
    use.list
      .filter((name) => !known.includes(name))
      .map((name) => {
        const near = nearest(name, known);
        const hint = near === undefined ? `there are: ${known.join(', ')}` : `did you mean \`${near}\`?`;
        const message = `${use.path.join('.')}: there is no group of packages \`${name}\``;
        return refuse('base/unknown-group', use.file, use.path, message, hint);
      }),
  );
}

function packages(base: Base, refuse: Refuse): UserError[] {
  const seen = new Map<string, string>(base.supplied.map((one) => [one.package, 'supplied']));
  return Object.entries(base.groups).flatMap(([group, { packages: list }]) =>
    list.flatMap((name, n) => {
      const before = seen.get(name);
      seen.set(name, `groups.${group}`);
      if (before === undefined) return [];
      const path = ['groups', group, 'packages', String(n)];
      const message = `groups.${group}.packages: \`${name}\` stands in ${before} already`;
      return [refuse('base/package-twice', file, path, message, 'remove one of the two')];
    }),
  );
}

function users(base: Base, refuse: Refuse): UserError[] {
  const all = Object.entries(base.groups).flatMap(([group, one]) => one.users.map((user, n) => ({ group, user, n })));
  return all.flatMap(({ group, user, n }, at) => {
    const before = all.slice(0, at).find((one) => one.user.id === user.id || one.user.name === user.name);
    if (before === undefined) return [];
    const same = before.user.id === user.id ? `number ${user.id}` : `name \`${user.name}\``;
    const message = `groups.${group}.users: \`${user.name}\` has the ${same}, which groups.${before.group} gives to \`${before.user.name}\``;
    return [
      refuse('base/two-users', file, ['groups', group, 'users', String(n)], message, 'a user has a name and number of its own'),
    ];
  });
}

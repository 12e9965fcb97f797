// SPDX-License-Identifier: PMPL-1.0-or-later
// Nickel's diagnostic -> one mistake for a person: file, line, field path, what was found, what is allowed, a near name.
// Nickel stops at its first; `load.ts` asks again without the field that was wrong, so that all are shown together.
import { UserError } from '../errors.ts';
import { didYouMean, nearest } from '../near.ts';
import { type Field, fieldAt, fieldHolding, lineOf, offsetOf, renamed, type Source, without, withValue } from './source.ts';

/** Files by path relative to the root: `configs/kernel.ncl`. */
export interface Sources {
  get(path: string): Source | undefined;
  paths(): Iterable<string>;
}

export interface Mistake {
  readonly error: UserError;
  /** The file's text without the mistake, to see the next one; undefined when there is no telling. */
  readonly mended: Mended | undefined;
}

export interface Mended {
  readonly file: string;
  readonly text: string;
  /** The path of a field that is gone now: that it is missing is not the user's mistake. */
  readonly gone?: string;
}

interface Place {
  readonly file: string;
  readonly offset: number;
}

/** `folder` is where the evaluated files stand; it is cut from the paths of the diagnostic. */
export function mistakeOf(diagnostic: string, folder: string, sources: Sources): Mistake {
  const headline = /^error: (.*)$/m.exec(diagnostic)?.[1] ?? diagnostic.split('\n')[0] ?? 'nickel failed';
  const places = placesOf(diagnostic, folder, sources);
  const own = places.find((place) => !place.file.startsWith('configs/contracts/')) ?? places[0];
  if (own === undefined)
    return { error: new UserError(headline, { code: 'config/nickel', hint: tail(diagnostic) }), mended: undefined };
  if (/^missing definition/.test(headline)) return missing(headline, places, own, sources);
  if (/^contract broken/.test(headline)) return broken(diagnostic, own, sources);
  const source = sources.get(own.file);
  const line = source === undefined ? 0 : lineOf(source, own.offset);
  const field = source === undefined ? undefined : fieldHolding(source, own.offset);
  const code = /unexpected|pars/.test(headline)
    ? 'config/syntax'
    : /unbound|import/.test(headline)
      ? 'config/unknown-name'
      : 'config/nickel';
  const message = headline.replaceAll(folder, '').replace(/ when parsing .*/, '');
  const where = `${own.file}:${line}${field === undefined ? '' : `, field ${field.path.join('.')}`}`;
  const mended = code === 'config/syntax' ? undefined : leftOut(own.file, source, field);
  return { error: new UserError(message, { code, where, hint: tail(diagnostic) }), mended };
}

/** `where` of a message: with the line if the field can be found. */
export function whereOf(sources: Sources, file: string, path: readonly string[]): string {
  const source = sources.get(file);
  const field = source === undefined ? undefined : fieldAt(source, path);
  const line = source === undefined || field === undefined ? '' : `:${lineOf(source, field.keyStart)}`;
  return `${file}${line}${path.length === 0 ? '' : `, field ${path.join('.')}`}`;
}

function missing(headline: string, places: readonly Place[], own: Place, sources: Sources): Mistake {
  const name = /`([^`]+)`/.exec(headline)?.[1] ?? '?';
  // The record that lacks the field is the last place in a file of the configuration.
  const record = places.filter((place) => !place.file.startsWith('configs/contracts/')).at(-1) ?? own;
  const source = sources.get(record.file);
  const field = source === undefined ? undefined : fieldHolding(source, record.offset);
  const path = [...(field?.path ?? []), name];
  const error = new UserError(`${path.join('.')}: missing`, {
    code: 'config/missing-field',
    where: whereOf(sources, record.file, path),
    hint: `add \`${name}\`; what it may be is said in configs/contracts`,
  });
  return { error, mended: leftOut(record.file, source, field) };
}

function broken(diagnostic: string, own: Place, sources: Sources): Mistake {
  const source = sources.get(own.file);
  const holder = source === undefined ? undefined : fieldHolding(source, own.offset);
  const extra = /^\s+extra fields? (.*)$/m.exec(diagnostic)?.[1];
  if (extra !== undefined && source !== undefined) return unknownField(extra, own, source, holder, sources);
  const path = holder?.path.join('.') ?? /the value of `([^`]+)`/.exec(diagnostic)?.[1] ?? 'the whole file';
  const found = source !== undefined && holder !== undefined ? short(source.text.slice(holder.valueStart, holder.end)) : '?';
  const allowed = /^ {7}(\S.*)$/m.exec(diagnostic)?.[1] ?? expectedType(diagnostic);
  const words = [...(allowed?.matchAll(/"([^"]+)"/g) ?? [])].map((match) => match[1] ?? '');
  const near = allowed?.startsWith('allowed is one of') === true ? didYouMean(found.replaceAll('"', ''), words) : '';
  const error = new UserError(`${path}: found ${found}; ${allowed ?? 'not allowed there'}${near}`, {
    code: 'config/wrong-value',
    where: whereOf(sources, own.file, holder?.path ?? []),
    hint: 'correct the value; what it means is said in configs/contracts',
  });
  const sample = sampleOf(allowed ?? '');
  if (sample === undefined || source === undefined || holder === undefined)
    return { error, mended: leftOut(own.file, source, holder) };
  return { error, mended: { file: own.file, text: withValue(source, holder, sample) } };
}

function unknownField(extra: string, own: Place, source: Source, holder: Field | undefined, sources: Sources): Mistake {
  const name = /`([^`]+)`/.exec(extra)?.[1] ?? extra;
  // The diagnostic points at the record or, for a field path such as `a.b = 1`, at the field itself.
  const inside = holder?.path ?? [];
  const field =
    source.fields.find((one) => one.path.at(-1) === name && one.path.length === inside.length + 1 && starts(one.path, inside)) ??
    (inside.at(-1) === name ? holder : source.fields.find((one) => one.path.at(-1) === name && starts(one.path, inside)));
  const path = field?.path ?? [...inside, name];
  const near = nearest(name, knownNames(sources));
  const taken = source.fields.some((one) => one.path.join('.') === [...path.slice(0, -1), near].join('.'));
  const error = new UserError(`${path.join('.')}: there is no such field${didYouMean(name, knownNames(sources))}`, {
    code: 'config/unknown-field',
    where: whereOf(sources, own.file, path),
    hint: 'the fields that exist are said in configs/contracts, each with what it is for',
  });
  if (near === undefined || taken || field === undefined) return { error, mended: leftOut(own.file, source, field) };
  return { error, mended: { file: own.file, text: renamed(source, field, near) } };
}

function leftOut(file: string, source: Source | undefined, field: Field | undefined): Mistake['mended'] {
  return source === undefined || field === undefined
    ? undefined
    : { file, text: without(source, field), gone: field.path.join('.') };
}

/** A value that the contract takes, from its own message: every message of configs/contracts holds one. */
function sampleOf(allowed: string): string | undefined {
  const example = /such as ("[^"]+")/.exec(allowed)?.[1] ?? /^allowed is one of ("[^"]+")/.exec(allowed)?.[1];
  if (example !== undefined) return example;
  const least = /whole number from (\d+)/.exec(allowed)?.[1];
  if (least !== undefined) return least;
  if (/true or false/.test(allowed)) return 'false';
  if (/is a list/.test(allowed)) return '[]';
  return /reason of at least/.test(allowed) ? '"left out for now"' : undefined;
}

const starts = (path: readonly string[], with_: readonly string[]) => with_.every((part, index) => path[index] === part);

/** Every field name of the contracts: what may have been meant. */
function knownNames(sources: Sources): Set<string> {
  const names = new Set<string>();
  for (const path of sources.paths()) {
    if (path.startsWith('configs/contracts/'))
      for (const field of sources.get(path)?.fields ?? []) names.add(field.path.at(-1) ?? '');
  }
  return names;
}

function placesOf(diagnostic: string, folder: string, sources: Sources): Place[] {
  const places: Place[] = [];
  for (const match of diagnostic.matchAll(/┌─ (.+?):(\d+):(\d+)\s*$/gm)) {
    const file = (match[1] ?? '').replace(`${folder}/`, '');
    const source = sources.get(file);
    if (source !== undefined) places.push({ file, offset: offsetOf(source, Number(match[2]), Number(match[3])) });
  }
  return places;
}

function expectedType(diagnostic: string): string | undefined {
  const line = /^\s*(?:\d+ )?│\s+[^│]*?(-+) expected/m.exec(diagnostic);
  return line === null ? undefined : 'it has another type than its contract says';
}

function short(text: string): string {
  const one = text.trim().replace(/\s+/g, ' ');
  return one.length > 60 ? `${one.slice(0, 57)}...` : one;
}

function tail(diagnostic: string): string {
  const text = (diagnostic.split(/^ *┌─ (?:python|<unknown>|<stdin>)/m)[0] ?? '').trim();
  return `see what Nickel says:\n    ${text.split('\n').slice(0, 14).join('\n    ')}`;
}

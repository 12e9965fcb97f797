// SPDX-License-Identifier: PMPL-1.0-or-later
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fieldAt, fieldHolding, lineOf, parseSource, renamed, without, withValue } from './source.ts';

const text = `# a comment with { braces
let { Kernel, .. } = import "x.ncl" in
{
  plain = 1,
  "quoted-name" = "a } in a text",
  nested = { inner = [{ a = 1 }, { a = 2, b | doc "says = more" | Number = 3 }] },
  path.to.it = m%"
    several } lines
  "%,
  last = fun x => { y = x },
} | Kernel
`;
const source = parseSource(text);
const at = (path: string) => fieldAt(source, path.split('.'));
const lineAt = (path: string) => lineOf(source, at(path)?.keyStart ?? 0);
const valueAt = (path: string) => text.slice(at(path)?.valueStart, at(path)?.end);

test('fields are found by their path, through records, lists and field paths', () => {
  expect(lineAt('plain')).toBe(4);
  expect(lineAt('quoted-name')).toBe(5);
  expect(lineAt('nested.inner.1.b')).toBe(6);
  expect(lineAt('path.to.it')).toBe(7);
  expect(lineAt('last')).toBe(10);
  expect(valueAt('nested.inner.1.b')).toBe('3');
  expect(valueAt('quoted-name')).toBe('"a } in a text"');
});

test('what a let takes apart is no field', () => {
  expect(source.fields.some((field) => field.path.includes('Kernel'))).toBe(false);
});

test('an offset leads to the innermost field', () => {
  expect(fieldHolding(source, text.indexOf('2, b'))?.path).toEqual(['nested', 'inner', '1', 'a']);
});

test('a field is left out, renamed or given another value with every line where it was', () => {
  const field = at('path.to.it')!;
  const lines = (changed: string) => changed.split('\n').length;
  for (const changed of [without(source, field), renamed(source, field, 'other'), withValue(source, field, '1')]) {
    expect(lines(changed)).toBe(lines(text));
    expect(changed.split('\n')[9]).toBe(text.split('\n')[9]);
  }
  expect(without(source, at('plain')!)).not.toContain('plain');
  expect(renamed(source, field, 'that')).toContain('path.to.that');
});

test('no text makes it fail or run forever', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '(',
    ')',
    ',',
    '=',
    '|',
    '.',
    '"',
    'a',
    'let',
    'in',
    '#',
    '\n',
    ' ',
    'm%"',
    '"%',
    '1',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) =>
      parseSource(pieces.join('')).fields.every((one) => one.end >= one.keyStart),
    ),
  );
});

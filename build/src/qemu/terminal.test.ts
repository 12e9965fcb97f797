// SPDX-License-Identifier: PMPL-1.0-or-later
import { describe, expect, it } from 'vitest';
import { leaveKeys } from './terminal.ts';

const type = (...chunks: string[]) => {
  const reader = leaveKeys();
  const results = chunks.map((chunk) => reader.read(Buffer.from(chunk, 'latin1')));
  return {
    guest: results.map(({ forGuest }) => Buffer.from(forGuest).toString('latin1')).join(''),
    leave: results.some(({ leave }) => leave),
  };
};

describe('the keys that leave', () => {
  it.each([
    ['Ctrl-C', '\x03'],
    ['Ctrl-]', '\x1d'],
    ['Ctrl-A x', '\x01x'],
    ['Ctrl-A X', '\x01X'],
  ])('%s', (_, keys) => {
    expect(type(`ls\r${keys}rest`)).toEqual({ guest: 'ls\r', leave: true });
  });

  it('Ctrl-A x in two reads', () => {
    expect(type('\x01', 'x')).toEqual({ guest: '', leave: true });
  });
});

describe('the guest gets', () => {
  it.each([
    ['ordinary keys', 'ls -l\r', 'ls -l\r'],
    ['Ctrl-A by typing it twice', '\x01\x01b', '\x01b'],
    ['Ctrl-C by Ctrl-A c', '\x01c', '\x03'],
    ['an unknown pair as it is', '\x01z', '\x01z'],
    ['control sequences of the arrow keys', '\x1b[A', '\x1b[A'],
  ])('%s', (_, keys, guest) => {
    expect(type(keys)).toEqual({ guest, leave: false });
  });
});

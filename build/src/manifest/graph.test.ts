// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import type { Component } from '../config/types.ts';
import { edges, order } from './graph.ts';

const component = (name: string, serves: string[], calls: string[], from = 'bundle') =>
  ({ name, serves, calls: calls.map((one) => ({ interface: one, because: 'a test needs it' })), from }) as unknown as Component;

test('each component starts after all that it calls, and else in the order of the file', () => {
  const all = [
    component('c', [], ['b', 'a']),
    component('process', [], []),
    component('b', ['b'], ['a']),
    component('a', ['a'], []),
    component('d', [], []),
  ];
  expect(order(all)).toEqual({ kind: 'order', names: ['process', 'a', 'b', 'c', 'd'] });
});

test('a program of the root starts after the file server, without a call to it', () => {
  const all = [component('hello', [], [], 'root:/programs/hello'), component('storage', ['file'], [])];
  expect(order(all)).toEqual({ kind: 'order', names: ['storage', 'hello'] });
  expect(edges(all)).toMatchObject([{ from: 'hello', to: 'storage', interface: 'file' }]);
});

test('a cycle is told from its first member to itself', () => {
  const all = [
    component('x', [], ['a']),
    component('a', ['a'], ['b']),
    component('b', ['b'], ['c']),
    component('c', ['c'], ['a']),
  ];
  expect(order(all)).toEqual({ kind: 'cycle', path: ['a', 'b', 'c', 'a'] });
});

test('`supervisor` is served by the process server, to whom it is granted', () => {
  const all = [component('process', [], []), component('agent', [], ['supervisor'])];
  expect(edges(all)).toMatchObject([{ from: 'agent', to: 'process', interface: 'supervisor' }]);
});

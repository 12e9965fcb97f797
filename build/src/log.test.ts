// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { createLog, type LogForm } from './log.ts';

function told(form: LogForm): string {
  let text = '';
  let time = 0;
  const log = createLog({ form, write: (more) => (text += more), now: () => (time += 500) });
  const kernel = log.step('kernel');
  kernel.progress('compiling core');
  const loader = log.step('loader');
  loader.cached();
  kernel.done('1.4 MiB');
  log.step('slot').fail();
  log.info('a line');
  log.event('built', { profile: 'dev' });
  log.close();
  return text;
}

test('plain lines tell each step by its name and time', () => {
  expect(told('plain')).toMatchInlineSnapshot(`
    "start   kernel
            kernel: compiling core
    start   loader
    same    loader (500 ms)
    done    kernel (2.5 s): 1.4 MiB
    start   slot
    FAILED  slot (500 ms)
    a line
    "
  `);
});

test('with --json each line is an object', () => {
  const events = told('json')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(events.map((event) => event.event)).toEqual([
    'start',
    'progress',
    'start',
    'cached',
    'done',
    'start',
    'fail',
    'info',
    'built',
  ]);
  expect(events[4]).toMatchObject({ step: 'kernel', note: '1.4 MiB' });
});

test('the live view leaves the finished steps above and nothing running below', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the view moves the cursor with them
  const text = told('live').replace(/\x1b\[\d+A\x1b\[0J/g, '<up>');
  expect(text).toContain('✔ kernel');
  expect(text).toContain('= loader');
  expect(text.trimEnd().endsWith('a line')).toBe(true);
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { describe, expect, it } from 'vitest';
import { CargoReport } from './cargo.ts';
import { brokenStage, junit, type Stage, summary, totals } from './results.ts';
import { parseTap, tapProblems } from './tap.ts';
import { readVitestReport } from './vitest.ts';

const stages: Stage[] = [
  {
    name: 'unit',
    durationMs: 1_234,
    results: [
      { suite: 'a.test.ts', name: 'adds', outcome: 'passed', durationMs: 5 },
      {
        suite: 'a.test.ts',
        name: 'says "<no>" & stops',
        outcome: 'failed',
        durationMs: 7,
        message: 'expected 1\n\x1b[31mgot 2\x1b[0m',
      },
    ],
  },
  { name: 'kernel-rs', durationMs: 60_000, results: [{ suite: 'abi', name: 'x', outcome: 'skipped', durationMs: 0 }] },
];

describe('a run', () => {
  it('is summed, and the last line stands alone', () => {
    expect(summary(stages)).toMatchInlineSnapshot(`
      "FAILED a.test.ts: says "<no>" & stops
          expected 1
          [31mgot 2[0m

        unit          1 passed    1 failed  1.2 s
        kernel-rs     0 passed    0 failed 1 skipped  1 min 00 s

      1 passed, 1 failed"
    `);
    expect(summary(stages).split('\n').at(-1)).toBe('1 passed, 1 failed');
  });

  it('leaves as JUnit', () => {
    expect(junit(stages)).toMatchInlineSnapshot(`
      "<?xml version="1.0" encoding="UTF-8"?>
      <testsuites>
        <testsuite name="unit: a.test.ts" tests="2" failures="1" skipped="0" errors="0" time="0.012">
          <testcase classname="a.test.ts" name="adds" time="0.005"/>
          <testcase classname="a.test.ts" name="says &quot;&lt;no&gt;&quot; &amp; stops" time="0.007">
            <failure message="expected 1">expected 1&#10;got 2</failure>
          </testcase>
        </testsuite>
        <testsuite name="kernel-rs: abi" tests="1" failures="0" skipped="1" errors="0" time="0.000">
          <testcase classname="abi" name="x" time="0.000">
            <skipped/>
          </testcase>
        </testsuite>
      </testsuites>
      "
    `);
  });

  it('counts a runner that broke as a failure', () => {
    expect(totals([brokenStage('build-dev', 10, 'no cargo')])).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
});

describe('cargo test', () => {
  const read = (text: string) => {
    const report = new CargoReport('servers-rs');
    const isName = (line: string) => /^ +(Running|Doc-tests)/.test(line);
    const lines = text.split('\n');
    // Names first: the two pipes come in any order.
    for (const line of lines.filter(isName)) report.line(line, 'stderr');
    for (const line of lines.filter((one) => !isName(one))) report.line(line, 'stdout');
    return report.results();
  };

  it('is read with its binaries, results and the output of failures', () => {
    const results = read(
      [
        '     Running unittests src/lib.rs (target/debug/deps/erofs-0123456789abcdef)',
        'running 3 tests',
        'test inode::reads ... ok',
        'test inode::refuses - should panic ... ok',
        'test inode::breaks ... FAILED',
        'failures:',
        '',
        '---- inode::breaks stdout ----',
        "thread 'inode::breaks' panicked at src/lib.rs:3:5:",
        'left: 1, right: 2',
        '',
        'failures:',
        '    inode::breaks',
        '',
        'test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s',
        '     Running tests/golden.rs (target/debug/deps/golden-0123456789abcdef)',
        'running 1 test',
        'test same ... ignored, slow',
        'test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s',
        '   Doc-tests erofs',
        'running 0 tests',
        'test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s',
      ].join('\n'),
    );
    expect(results.map(({ suite, name, outcome }) => `${suite}: ${name}: ${outcome}`)).toEqual([
      'servers-rs erofs: inode::reads: passed',
      'servers-rs erofs: inode::refuses: passed',
      'servers-rs erofs: inode::breaks: failed',
      'servers-rs golden (tests/golden.rs): same: skipped',
    ]);
    expect(results[2]?.message).toContain('left: 1, right: 2');
  });

  it('whose program dies in the middle has failed', () => {
    const results = read(
      '     Running unittests src/lib.rs (target/debug/deps/a-0123456789abcdef)\nrunning 2 tests\ntest one ... ok\n',
    );
    expect(results.at(-1)).toMatchObject({ outcome: 'failed', message: '1 of 2 tests reported, then the program ended' });
  });
});

describe('a report of vitest', () => {
  const file = (more: object) =>
    JSON.stringify({ testResults: [{ name: '/r/a.test.ts', status: 'passed', message: '', assertionResults: [], ...more }] });
  const test = { ancestorTitles: ['a'], title: 'b', status: 'passed', duration: 3, failureMessages: [] };

  it('is read with names relative to the repository', () => {
    expect(readVitestReport(file({ assertionResults: [test] }), '/r')).toEqual([
      { suite: 'a.test.ts', name: 'a > b', outcome: 'passed', durationMs: 3 },
    ]);
  });

  it('of a file that could not be loaded is a failure', () => {
    expect(readVitestReport(file({ status: 'failed', message: 'cannot find module' }), '/r')).toMatchObject([
      { outcome: 'failed', message: 'cannot find module' },
    ]);
  });

  it.each([
    ['no JSON', '{'],
    ['another shape', '{}'],
    ['an unknown status', file({ assertionResults: [{ ...test, status: 'flew' }] })],
  ])('is refused: %s', (_, text) => {
    expect(() => readVitestReport(text, '/r')).toThrow();
  });
});

describe('TAP', () => {
  const run = (...lines: string[]) => parseTap(['noise', 'TAP version 14', ...lines]);

  it('of a whole run has no problems', () => {
    const tap = run('# pools', 'ok 1 - splits', 'kernel: something else', 'ok 2 - dies # SKIP no second CPU', '1..2');
    expect(tap.tests).toEqual([
      { number: 1, name: 'splits', ok: true, directive: undefined, notes: ['pools'] },
      { number: 2, name: 'dies', ok: true, directive: 'SKIP no second CPU', notes: [] },
    ]);
    expect(tapProblems(tap)).toEqual([]);
  });

  it.each([
    ['no version line', parseTap(['ok 1 - a', '1..1']), 'no plan'],
    ['no plan', run('ok 1 - a'), 'no plan'],
    ['a plan of none', run('1..0'), 'no test was planned'],
    ['fewer than planned', run('ok 1 - a', '1..2'), '2 tests were planned, 1 reported'],
    ['a failure', run('# left 1', 'not ok 1 - a', '1..1'), 'not ok 1 a\n  left 1'],
    ['a wrong order', run('ok 2 - a', '1..1'), 'test 2 is out of order'],
    ['bailing out', run('ok 1 - a', 'Bail out! no memory'), 'bailed out: no memory'],
  ])('is not a success with %s', (_, tap, problem) => {
    expect(tapProblems(tap).join('; ')).toContain(problem);
  });
});

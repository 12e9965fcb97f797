// SPDX-License-Identifier: PMPL-1.0-or-later
// Results of tests from any runner in one shape, their sum, and the two forms in which they leave: JUnit for machines, a summary
// for people. Pure. The readers stand beside it: `vitest.ts`, `cargo.ts`, `tap.ts`.
import { roughDuration } from '../units.ts';

export interface TestResult {
  /** The file or crate: one group of the report. */
  readonly suite: string;
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly durationMs: number;
  /** Why it failed, for a person. */
  readonly message?: string;
}

/** One runner's part of a run. */
export interface Stage {
  readonly name: string;
  readonly durationMs: number;
  readonly results: readonly TestResult[];
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function totals(stages: readonly Stage[]): Totals {
  const count = (outcome: TestResult['outcome']) =>
    stages.reduce((sum, stage) => sum + stage.results.filter((result) => result.outcome === outcome).length, 0);
  return { passed: count('passed'), failed: count('failed'), skipped: count('skipped') };
}

/** The stage of a runner that broke before it could report: its failure counts as one. */
export function brokenStage(name: string, durationMs: number, message: string): Stage {
  return {
    name,
    durationMs,
    results: [{ suite: name, name: `${name} runs to its end`, outcome: 'failed', durationMs, message }],
  };
}

/** The stage of a program that has no tests in it, such as a build: that it ended well counts as one. */
export function wholeStage(name: string, durationMs: number): Stage {
  return { name, durationMs, results: [{ suite: name, name: `${name} runs to its end`, outcome: 'passed', durationMs }] };
}

/** JUnit XML as CI servers read it: a suite for each file or crate. */
export function junit(stages: readonly Stage[]): string {
  const lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites>'];
  for (const stage of stages) {
    for (const [suite, results] of bySuite(stage.results)) {
      const failures = results.filter((result) => result.outcome === 'failed').length;
      const skipped = results.filter((result) => result.outcome === 'skipped').length;
      const counts = `tests="${results.length}" failures="${failures}" skipped="${skipped}" errors="0"`;
      lines.push(`  <testsuite name="${xml(`${stage.name}: ${suite}`)}" ${counts} time="${seconds(results)}">`);
      for (const result of results) lines.push(...testCase(suite, result));
      lines.push('  </testsuite>');
    }
  }
  return `${[...lines, '</testsuites>'].join('\n')}\n`;
}

/** What a person reads last. Its final line, alone, is `N passed, N failed`. */
export function summary(stages: readonly Stage[]): string {
  const width = Math.max(...stages.map((stage) => stage.name.length), 4);
  const sum = totals(stages);
  const lines = stages.map((stage) => {
    const { passed, failed, skipped } = totals([stage]);
    const counts = `${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed${skipped > 0 ? ` ${skipped} skipped` : ''}`;
    return `  ${stage.name.padEnd(width)} ${counts}  ${roughDuration(stage.durationMs)}`;
  });
  const failed = stages.flatMap((stage) => stage.results.filter((result) => result.outcome === 'failed'));
  const stories = failed.flatMap((result) => [`FAILED ${result.suite}: ${result.name}`, ...indented(result.message ?? ''), '']);
  return [...stories, ...lines, '', `${sum.passed} passed, ${sum.failed} failed`].join('\n');
}

function bySuite(results: readonly TestResult[]): Map<string, TestResult[]> {
  const suites = new Map<string, TestResult[]>();
  for (const result of results) suites.set(result.suite, [...(suites.get(result.suite) ?? []), result]);
  return suites;
}

function testCase(suite: string, result: TestResult): string[] {
  const open = `    <testcase classname="${xml(suite)}" name="${xml(result.name)}" time="${(result.durationMs / 1_000).toFixed(3)}"`;
  if (result.outcome === 'passed') return [`${open}/>`];
  if (result.outcome === 'skipped') return [`${open}>`, '      <skipped/>', '    </testcase>'];
  const message = result.message ?? 'failed';
  return [
    `${open}>`,
    `      <failure message="${xml(message.split('\n')[0] ?? '')}">${xml(message)}</failure>`,
    '    </testcase>',
  ];
}

function seconds(results: readonly TestResult[]): string {
  return (results.reduce((sum, result) => sum + result.durationMs, 0) / 1_000).toFixed(3);
}

function indented(message: string): string[] {
  return message.split('\n').map((line) => `    ${line}`.trimEnd());
}

function xml(text: string): string {
  return (
    text
      // Characters that XML 1.0 does not allow at all (section 2.2), such as those of coloured output.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject
      .replace(/\x1b\[[0-9;]*m|[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      .replaceAll('\n', '&#10;')
  );
}

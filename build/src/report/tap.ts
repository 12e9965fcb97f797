// SPDX-License-Identifier: PMPL-1.0-or-later
// Reads the Test Anything Protocol, version 14, as guests print it on their console (testanything.org). A run counts as finished
// only when its plan stands there and as many tests reported; the caller treats anything else as a failure.
export interface TapTest {
  readonly number: number;
  readonly name: string;
  readonly ok: boolean;
  /** `SKIP` or `TODO` with its reason. */
  readonly directive: string | undefined;
  /** Comment lines that stood before it. */
  readonly notes: readonly string[];
}

export interface TapRun {
  readonly tests: readonly TapTest[];
  readonly planned: number | undefined;
  /** `Bail out!` with its reason. */
  readonly bailOut: string | undefined;
}

/** Lines of a console; those before the version line and those that are not TAP are passed over. */
export function parseTap(lines: readonly string[]): TapRun {
  const start = lines.indexOf('TAP version 14');
  const tests: TapTest[] = [];
  let planned: number | undefined;
  let bailOut: string | undefined;
  let notes: string[] = [];
  for (const line of start === -1 ? [] : lines.slice(start + 1)) {
    const test = /^(not )?ok (\d+)(?: -)?\s*(.*?)(?:\s+# ((?:SKIP|TODO)\b.*))?$/i.exec(line);
    const plan = /^1\.\.(\d+)$/.exec(line);
    const bail = /^Bail out!\s*(.*)$/.exec(line);
    if (test !== null) {
      tests.push({ number: Number(test[2]), name: test[3]!, ok: test[1] === undefined, directive: test[4], notes });
      notes = [];
    } else if (plan !== null) planned = Number(plan[1]);
    else if (bail !== null) bailOut = bail[1];
    else if (line.startsWith('# ')) notes.push(line.slice(2));
  }
  return { tests, planned, bailOut };
}

/** Why the run is not a success; empty for a success. */
export function tapProblems(run: TapRun): string[] {
  const problems = run.tests
    .filter((test) => !test.ok)
    .map((test) => [`not ok ${test.number} ${test.name}`, ...test.notes].join('\n  '));
  if (run.bailOut !== undefined) problems.push(`bailed out: ${run.bailOut}`);
  if (run.planned === undefined) problems.push('no plan: the run did not finish');
  else if (run.planned !== run.tests.length) problems.push(`${run.planned} tests were planned, ${run.tests.length} reported`);
  if (run.planned === 0) problems.push('no test was planned');
  const wrong = run.tests.find((test, index) => test.number !== index + 1);
  if (wrong !== undefined) problems.push(`test ${wrong.number} is out of order`);
  return problems;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// Reads the JSON report of vitest. Unknown shapes are refused here, so that nobody takes an empty report for success.
import { z } from 'zod';
import type { TestResult } from './results.ts';

const report = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().default(''),
      assertionResults: z.array(
        z.object({
          ancestorTitles: z.array(z.string()),
          title: z.string(),
          status: z.enum(['passed', 'failed', 'skipped', 'pending', 'todo', 'disabled']),
          duration: z.number().nullish(),
          failureMessages: z.array(z.string()).nullish(),
        }),
      ),
    }),
  ),
});

/** Errors: `ZodError` or `SyntaxError` for what is not such a report. `root` is cut from the files' names. */
export function readVitestReport(text: string, root: string): TestResult[] {
  return report.parse(JSON.parse(text)).testResults.flatMap((file) => {
    const suite = file.name.startsWith(`${root}/`) ? file.name.slice(root.length + 1) : file.name;
    const results = file.assertionResults.map((test): TestResult => {
      const outcome = test.status === 'passed' || test.status === 'failed' ? test.status : 'skipped';
      const message = (test.failureMessages ?? []).join('\n').trim();
      const name = [...test.ancestorTitles, test.title].join(' > ');
      return { suite, name, outcome, durationMs: test.duration ?? 0, ...(message === '' ? {} : { message }) };
    });
    // A file that could not be loaded, or whose hooks failed, has no failed test to show for it.
    const silent = file.status === 'failed' && !results.some((result) => result.outcome === 'failed');
    if (!silent) return results;
    return [...results, { suite, name: 'the file runs', outcome: 'failed' as const, durationMs: 0, message: file.message }];
  });
}

// SPDX-License-Identifier: PMPL-1.0-or-later
// The production kernel has no debug operations: the same program that speaks through them in development is not heard.
import { describe, expect } from 'vitest';
import type { BadSignName } from '../../build/src/testing.ts';
import { soon } from '../support/computer.ts';
import { it } from '../support/direct.ts';
import { suiteBundle } from '../support/suite.ts';

/** The suite makes programs die on purpose. */
const onPurpose: readonly BadSignName[] = ['server-fault', 'server-panic', 'capability-fault', 'test-not-ok'];

describe.concurrent('a program that prints through the debug operation', () => {
  it('is heard on the development kernel', async ({ direct }) => {
    const { console } = await direct.start({ bundle: await suiteBundle('with-disk', 'dev'), expected: onPurpose });
    await console.waitFor(/^TAP version 14$/, soon);
  });

  it('is not heard on the production kernel, which runs all the same', async ({ direct }) => {
    const { console } = await direct.start({
      profile: 'prod',
      bundle: await suiteBundle('with-disk', 'prod'),
      expected: onPurpose,
    });
    await console.waitFor(/^flatracoon: (ready|degraded) /, { timeoutMs: 180_000 });
    expect(console.seen(/^TAP|^(not )?ok \d|^1\.\./)).toEqual([]);
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
// Three projects: unit (beside the code, no build, no guest), system (builds or boots), performance (measures, asserts nothing).
// Files of `system` run one after another: each may start a guest that wants a whole CPU.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['build/src/**/*.test.ts', 'tests/refusals/**/*.test.ts'], testTimeout: 30_000 } },
      {
        test: {
          name: 'system',
          include: ['tests/**/*.test.ts'],
          exclude: ['tests/refusals/**', 'tests/performance/**'],
          testTimeout: 600_000,
          hookTimeout: 1_800_000,
          fileParallelism: false,
          sequence: { concurrent: false },
        },
      },
      {
        test: {
          name: 'performance',
          include: ['tests/performance/**/*.test.ts'],
          testTimeout: 1_800_000,
          hookTimeout: 1_800_000,
          fileParallelism: false,
        },
      },
    ],
  },
});

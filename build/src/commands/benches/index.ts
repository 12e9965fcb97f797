// SPDX-License-Identifier: PMPL-1.0-or-later
// The suites of `bench`, by name.
import type { Bench } from './bench.ts';
import { bench as heal } from './heal.ts';
import { bench as image } from './image.ts';
import { bench as kernel } from './kernel.ts';

export type { Bench } from './bench.ts';
export const benches: Readonly<Record<string, Bench>> = { heal, image, kernel };

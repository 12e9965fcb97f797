// SPDX-License-Identifier: PMPL-1.0-or-later
// Graphviz: a description in, an SVG picture out.
import { run } from './exec.ts';

export async function drawSvg(description: string, signal: AbortSignal): Promise<string> {
  return (await run('dot', ['-Tsvg'], { input: description, signal })).stdout;
}

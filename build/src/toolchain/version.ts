// SPDX-License-Identifier: PMPL-1.0-or-later
// Versions as programs print them: the first number with a dot in the text counts.

/** Whether `text` holds a version that is `least` or newer; a text without one is not. */
export function atLeast(text: string, least: string): boolean {
  const found = numbers(text);
  if (found === undefined) return false;
  const wanted = numbers(least) ?? [];
  for (let n = 0; n < wanted.length; n++) {
    const difference = (found[n] ?? 0) - (wanted[n] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

function numbers(text: string): number[] | undefined {
  return /\d+(?:\.\d+)+/.exec(text)?.[0].split('.').map(Number);
}

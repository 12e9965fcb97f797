// SPDX-License-Identifier: PMPL-1.0-or-later
// Sizes ("512MiB") and durations ("200ms"): strict parsing and one way to print them.
// A bare number is refused: the reader of a configuration must see the unit.

const sizeUnits = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;
const durationUnits = { us: 1, ms: 1_000, s: 1_000_000, min: 60_000_000, h: 3_600_000_000 } as const;

export const sizePattern = /^(0|[1-9][0-9]*)(B|KiB|MiB|GiB|TiB)$/;
export const durationPattern = /^(0|[1-9][0-9]*)(us|ms|s|min|h)$/;

/** Bytes, or undefined when the text is not a size. */
export function parseSize(text: string): number | undefined {
  const match = sizePattern.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * sizeUnits[match[2] as keyof typeof sizeUnits];
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Microseconds, or undefined when the text is not a duration. */
export function parseDurationUs(text: string): number | undefined {
  const match = durationPattern.exec(text);
  if (match === null) return undefined;
  const us = Number(match[1]) * durationUnits[match[2] as keyof typeof durationUnits];
  return Number.isSafeInteger(us) ? us : undefined;
}

/** Exact where a unit divides it ("64MiB"), so that `parseSize(formatSize(n)) === n` for every whole number of bytes. */
export function formatSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB'] as const) {
    if (bytes !== 0 && bytes % sizeUnits[unit] === 0) return `${bytes / sizeUnits[unit]}${unit}`;
  }
  return `${bytes}B`;
}

/** Rounded for a person ("1.3 MiB"); cannot be parsed back. */
export function roughSize(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB'] as const) {
    if (bytes >= sizeUnits[unit]) return `${(bytes / sizeUnits[unit]).toFixed(1)} ${unit}`;
  }
  return `${bytes} B`;
}

/** Rounded for a person: "850 ms", "12.4 s", "3 min 05 s". */
export function roughDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

// SPDX-License-Identifier: PMPL-1.0-or-later
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { run } from '../toolchain/exec.ts';
import { shellCommand, shellWord } from './shell.ts';

describe('a command to paste', () => {
  it('leaves plain words alone and quotes the rest', () => {
    expect(shellWord('/a/b-1.0,c=d')).toBe('/a/b-1.0,c=d');
    expect(shellWord(`it's {"a":1}`)).toBe(`'it'\\''s {"a":1}'`);
    expect(shellWord('')).toBe(`''`);
  });

  it('breaks lines before options', () => {
    expect(shellCommand(['qemu', '-m', '1M', '-S'])).toBe('qemu \\\n  -m 1M \\\n  -S');
  });

  it('comes back from a real shell as it went in', async () => {
    const words = fc.sample(
      fc.array(
        fc.string({ unit: 'grapheme' }).map((s) => s.replaceAll('\0', '')),
        { minLength: 1, maxLength: 8 },
      ),
      20,
    );
    for (const some of words) {
      const { stdout } = await run('sh', ['-c', `${shellCommand(['printf', '%s|', ...some.map((w) => `x${w}`)])}; echo`]);
      expect(stdout).toBe(some.map((word) => `x${word}|`).join(''));
    }
  });
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkSlotFits, slotContent } from './content.ts';

test('the content of a slot is never overstated and names its largest files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'content-'));
  try {
    const entries: object[] = [{ path: '/', kind: 'directory' }];
    for (let n = 1; n <= 7; n++) {
      const source = join(folder, `f${n}`);
      await writeFile(source, '');
      await truncate(source, n * 1_000_000);
      entries.push({ path: `/f${n}`, kind: 'file', source });
    }
    await writeFile(join(folder, 'tree.json'), JSON.stringify({ entries }));
    const { size_bytes, largest } = await slotContent(join(folder, 'tree.json'));
    expect(largest?.map((file) => file.path)).toEqual(['/f7', '/f6', '/f5', '/f4', '/f3']);
    expect(size_bytes).toBeGreaterThan(27_900_000);
    const slot = { order: 20, name: 'root-a', label: 'ROOT-A', type: '', content: 'slot', where: 'w' } as const;
    await checkSlotFits(join(folder, 'tree.json'), { ...slot, size_bytes: size_bytes });
    await expect(checkSlotFits(join(folder, 'tree.json'), { ...slot, size_bytes: size_bytes - 4096 })).rejects.toMatchObject({
      code: 'image/too-small',
      message: expect.stringContaining('/f3'),
    });
    // 28 MB of files, 1/128 of digests, and what is fixed.
    expect(size_bytes).toBeLessThan(28_000_000 * (1 + 1 / 128) + 80_000);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

// SPDX-License-Identifier: PMPL-1.0-or-later
import { describe, expect, it } from 'vitest';
import { kernelFigures, kernelTable, missed } from './kernel.ts';
import { kernelRows } from './kernel-rows.ts';
import { parseCounts } from './kernel-run.ts';

const said = (row: string, heavy: string) => [row, `emulator: heavy: 0 ${heavy}`];
const end = [
  'bench refused right NoRight',
  'emulator: interrupts-off: longest=90000 runs=9 over_goal=1 over_must=1',
  'emulator: interrupts-off: run=90000 function=_RNvXNtNtCs_7machine6x86_647consoleNtB2_4Uart9write_str:80000',
  'emulator: interrupts-off: run=6000 function=_RNvMs1_6kernel7objects7mapping12fill_mapping:1690',
  'bench end',
];
const call = 'bench row ipc.call_reply.other_as.4w operations 10000 instructions 3005000';

describe('the kernel benchmark', () => {
  it('divides what a loop took by what it did', () => {
    const [null_, ipc] = kernelFigures(
      parseCounts([
        ...said('bench row syscall.null operations 10000 instructions 790005', 'cr3 0 syscall 10000'),
        ...said(call, 'cr3 20000'),
        ...end,
      ]),
    );
    expect(null_).toMatchObject({ name: 'syscall.null', value: 79, must: 80, operations: 10_000, heavy: { cr3: 0, syscall: 1 } });
    expect(ipc).toMatchObject({ name: 'ipc.call_reply.other_as.4w', value: 300.5, heavy: { cr3: 2 } });
  });

  it('misses a row that takes more instructions than it must, and one that is not there', () => {
    const figures = kernelFigures(parseCounts([...said(call.replace('3005000', '4510000'), 'cr3 20000'), ...end]));
    expect(missed(figures)).toContain('ipc.call_reply.other_as.4w: 451, at most 450');
    expect(missed(figures)).toContain('guest.syscall_trivial: not there yet');
    expect(missed(figures)).not.toContain('memory.map_unmap.4k: not there yet');
  });

  it('misses a row that trades instructions for heavy operations', () => {
    const figures = kernelFigures(parseCounts([...said(call, 'cr3 40000 xsave 20000'), ...end]));
    expect(missed(figures).filter((one) => one.startsWith('ipc.call_reply.other_as.4w'))).toEqual([
      'ipc.call_reply.other_as.4w: 4 cr3, at most 2',
      'ipc.call_reply.other_as.4w: 2 xsave, at most 0',
    ]);
    expect(kernelTable(figures, [])).toMatch(/other_as\.4w .*MISSED: cr3, xsave/);
  });

  it('prints every row, also those that are not there yet', () => {
    const table = kernelTable(kernelFigures(parseCounts([...said(call, 'cr3 20000'), ...end])), []);
    for (const { name } of kernelRows) expect(table).toContain(name);
    expect(table).toMatch(/guest\.page_fault .*not there yet/);
  });

  it('tells the longest operation apart from the longest line that the kernel says', () => {
    const counts = parseCounts([...said(call, 'cr3 20000'), ...end]);
    expect(counts.longestInterruptsOff).toEqual({ operations: 6000, console: 90_000 });
    const [figure] = kernelFigures(counts).filter(({ name }) => name === 'kernel.longest_interrupts_off');
    expect(figure).toMatchObject({ value: 6000, must: 20_000 });
  });

  it('takes no counts when the emulator and the program do not agree on how many there are', () => {
    expect(() => parseCounts([call, ...end])).toThrow('1 rows, but 0 reports');
  });
});

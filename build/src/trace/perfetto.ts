// SPDX-License-Identifier: PMPL-1.0-or-later
// A trace as the JSON that ui.perfetto.dev and chrome://tracing open: the "Trace Event Format", complete events (`X`) for who runs on
// a CPU, instants (`i`) for what happens there, metadata (`M`) for names. Pure.
import type { TraceRecord } from './ring.ts';

export interface TraceEvent {
  readonly name: string;
  readonly ph: 'X' | 'i' | 'M';
  readonly pid: number;
  readonly tid: number;
  /** Microseconds. */
  readonly ts?: number;
  readonly dur?: number;
  /** Of an instant: as high as its thread. */
  readonly s?: 't';
  readonly cat?: string;
  readonly args?: Readonly<Record<string, string | number>>;
}

/** Every CPU is a thread of one process there. `operations` names calls by number. */
export function perfettoTrace(
  records: readonly TraceRecord[],
  operations: ReadonlyMap<number, string>,
): { readonly traceEvents: TraceEvent[] } {
  const cpus = [...new Set(records.map(({ cpu }) => cpu))].sort((one, other) => one - other);
  const names: TraceEvent[] = [
    { name: 'process_name', ph: 'M', pid: 1, tid: 0, args: { name: 'flatracoon' } },
    ...cpus.map((cpu): TraceEvent => ({ name: 'thread_name', ph: 'M', pid: 1, tid: cpu + 1, args: { name: `CPU ${cpu}` } })),
  ];
  const events = cpus.flatMap((cpu) => {
    const own = records.filter((record) => record.cpu === cpu);
    return [...slices(own), ...own.filter(({ kind }) => kind !== 'run').map((record) => instant(record, operations))];
  });
  return { traceEvents: [...names, ...events] };
}

/** One complete event for each time that a thread had the CPU; nothing while it idled. */
function slices(records: readonly TraceRecord[]): TraceEvent[] {
  const last = records.at(-1)?.timeNs ?? 0;
  const runs = records.filter(({ kind }) => kind === 'run');
  const changes = runs.filter((run, n) => n === 0 || run.detail !== runs[n - 1]!.detail);
  return changes.flatMap((run, n) => {
    if (run.thread === '') return [];
    const end = changes[n + 1]?.timeNs ?? last;
    const place = { pid: 1, tid: run.cpu + 1, ts: run.timeNs / 1_000, dur: (end - run.timeNs) / 1_000 };
    return [{ name: run.thread, ph: 'X', cat: 'thread', ...place, args: { thread: Number(run.detail) } } satisfies TraceEvent];
  });
}

function instant(record: TraceRecord, operations: ReadonlyMap<number, string>): TraceEvent {
  const { cpu, timeNs, kind, number, detail, thread } = record;
  const place = { ph: 'i', s: 't', pid: 1, tid: cpu + 1, ts: timeNs / 1_000, cat: kind } as const;
  const by = thread === '' ? {} : { by: thread };
  switch (kind) {
    case 'call':
      return { name: operations.get(number) ?? `operation ${number}`, ...place, args: { handle: hex(detail), ...by } };
    case 'fault':
      return { name: `fault ${number & 0xff}`, ...place, args: { address: hex(detail), error: hex(BigInt(number >> 8)), ...by } };
    case 'interrupt':
      return { name: `interrupt ${number}`, ...place, args: by };
    default:
      return { name: kind, ...place, args: by };
  }
}

const hex = (value: bigint) => `0x${value.toString(16)}`;

/** Numbers and names out of the table of operations, kernel-rs/abi/src/op.rs. */
export function operationNames(source: string): Map<number, string> {
  return new Map([...source.matchAll(/^ {4}(\d+) (\w+) on /gm)].map(([, number, name]) => [Number(number), name!]));
}

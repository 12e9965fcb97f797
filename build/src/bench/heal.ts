// SPDX-License-Identifier: PMPL-1.0-or-later
// From what `servers-rs/tests/heal` says to figures. Pure.
import { InternalError } from '../errors.ts';
import type { Figure } from './figures.ts';

export interface HealResults {
  readonly kills: readonly { readonly name: string; readonly kills: number; readonly p50Ns: number; readonly p99Ns: number }[];
  readonly faults: readonly {
    readonly name: string;
    readonly injected: number;
    readonly died: number;
    readonly hung: number;
    readonly nothing: number;
    readonly silent: number;
    readonly others: number;
  }[];
  /** Frames that each component's pool has in use, before all deaths and after. */
  readonly frames: readonly { readonly name: string; readonly before: number; readonly after: number }[];
}

/** Errors: `InternalError` when the program did not come to its end. */
export function parseHeal(lines: readonly string[]): HealResults {
  const all = (pattern: RegExp) => lines.flatMap((line) => [pattern.exec(line)?.slice(1) ?? []]).filter((one) => one.length > 0);
  if (!lines.includes('heal end')) throw new InternalError(lines.find((line) => line.startsWith('heal failed')) ?? 'no end');
  return {
    kills: all(/^heal kills (\S+) (\d+) p50_ns (\d+) p99_ns (\d+) max_ns (\d+)$/).map(([name, kills, p50, p99]) => ({
      name: name!,
      kills: Number(kills),
      p50Ns: Number(p50),
      p99Ns: Number(p99),
    })),
    faults: all(/^heal faults (\S+) (\d+) died (\d+) hung (\d+) nothing (\d+) silent (\d+) others (\d+)$/).map(
      ([name, ...counts]) => {
        const [injected, died, hung, nothing, silent, others] = counts.map(Number);
        return {
          name: name!,
          injected: injected!,
          died: died!,
          hung: hung!,
          nothing: nothing!,
          silent: silent!,
          others: others!,
        };
      },
    ),
    frames: all(/^heal frames (\S+) before (\d+) after (\d+)$/).map(([name, before, after]) => ({
      name: name!,
      before: Number(before),
      after: Number(after),
    })),
  };
}

const limits = { must: 0.05, goal: 0.005 };

export function healFigures(results: HealResults): Figure[] {
  const { kills, faults, frames } = results;
  const sum = (pick: (one: HealResults['faults'][number]) => number) => faults.reduce((all, one) => all + pick(one), 0);
  const clock = 'guest time under instruction counting, one CPU';
  const how = `from a death at a random instruction, under load, to the first good answer to a call begun after it; ${clock}`;
  const count = (name: string, value: number, text: string, must?: number): Figure => ({
    name,
    value,
    unit: 'count',
    how: text,
    ...(must === undefined ? {} : { must }),
  });
  return [
    ...kills.flatMap(({ name, p50Ns, p99Ns }): Figure[] => [
      { name: `heal.${name}.death_to_first_good_reply.p50`, value: p50Ns / 1e9, unit: 's', how, ...limits },
      { name: `heal.${name}.death_to_first_good_reply.p99`, value: p99Ns / 1e9, unit: 's', how, must: limits.must },
    ]),
    ...kills.map(({ name, kills: n }) => count(`heal.${name}.kills`, n, 'deaths that it came back from, all of them')),
    ...(faults.length === 0
      ? []
      : [
          count(
            'heal.faults_injected',
            sum((one) => one.injected),
            'bits of code, registers, heap, stack and answers; stalls',
          ),
          count(
            'heal.faults_injected.died',
            sum((one) => one.died),
            'ended by what its own code or the kernel noticed',
          ),
          count(
            'heal.faults_injected.hung',
            sum((one) => one.hung),
            'found by the heartbeat',
          ),
          count(
            'heal.faults_injected.nothing',
            sum((one) => one.nothing),
            'it answered twenty calls afterwards',
          ),
          count(
            'heal.faults_injected.silent',
            sum((one) => one.silent),
            'it waited for what never came, until it was ended',
            0,
          ),
          count(
            'heal.faults_injected.others',
            sum((one) => one.others),
            'deaths of other components',
            0,
          ),
        ]),
    count(
      'heal.leak',
      frames.filter((one) => one.before !== one.after).length,
      'components whose pool has more or fewer frames in use after all deaths',
      0,
    ),
  ];
}

/** What a `must` names and the figures do not keep. */
export function missedHealing(figures: readonly Figure[]): string[] {
  return figures.flatMap(({ name, value, must }) =>
    must !== undefined && value > must ? [`${name}: ${value}, at most ${must}`] : [],
  );
}

/** The stages of a task as a strip over time. */

import type { Stage } from "../feed/types";

export interface Stretch {
  name: string;
  from: number;
  until: number;
  /** The task is in it. */
  current: boolean;
  color: number;
}

export interface StageSum {
  name: string;
  seconds: number;
  times: number;
  color: number;
}

export const STAGE_COLORS = 8;

/** One stretch per stage entered; the last one ends at `until`. A stage that is entered again has the same colour. */
export function stretchesOf(stages: readonly Stage[], until: number): Stretch[] {
  const colors = new Map<string, number>();
  const stretches: Stretch[] = [];
  for (const stage of stages) {
    if (stage.entered === null) continue;
    const color = colors.get(stage.name) ?? colors.size % STAGE_COLORS;
    colors.set(stage.name, color);
    const end = stage.left ?? Math.max(until, stage.entered);
    stretches.push({
      name: stage.name,
      from: stage.entered,
      until: Math.max(end, stage.entered),
      current: stage.left === null,
      color,
    });
  }
  return stretches;
}

export function sumsOf(stretches: readonly Stretch[]): StageSum[] {
  const sums = new Map<string, StageSum>();
  for (const one of stretches) {
    const sum = sums.get(one.name) ?? { name: one.name, seconds: 0, times: 0, color: one.color };
    sum.seconds += one.until - one.from;
    sum.times += 1;
    sums.set(one.name, sum);
  }
  return [...sums.values()];
}

/** When the run of a board began and ended, and which of its tasks and workers can still be seen. */

import type { Row, Summary } from "../feed/types";

export interface Run {
  started: number | null;
  /** Null while tasks are open. */
  ended: number | null;
  /** Tasks of the run that are not on the board any more. */
  gone: number;
}

export function isWorking(summary: Summary): boolean {
  return summary.counts !== null && summary.counts.running + summary.counts.pending > 0;
}

export function runOf(summary: Summary, tasks: ReadonlyMap<number, Row>): Run {
  const gone = Math.max(0, (summary.counts?.total ?? 0) - tasks.size);
  let started = gone > 0 && summary.created_at !== null ? summary.created_at : Infinity;
  let ended = 0;
  for (const row of tasks.values()) {
    if (row.started === null) continue;
    started = Math.min(started, row.started);
    ended = Math.max(ended, row.ended ?? row.beat ?? row.started);
  }
  return {
    started: Number.isFinite(started) ? started : null,
    ended: isWorking(summary) || ended === 0 ? null : ended,
    gone,
  };
}

/** How many workers are alive; null if nobody knows: no task is open, and no recorder looks after them. */
export function workersAlive(summary: Summary): number | null {
  return isWorking(summary) || summary.recorder === "alive" ? summary.workers_alive : null;
}

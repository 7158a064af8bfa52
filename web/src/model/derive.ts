/** What follows from a row and the time; the formulas of docs/http.md. Times are seconds since 1970. */

import type { Row, State, Worker } from "../feed/types";

type Timed = Pick<Row, "state" | "started" | "ended" | "created" | "beat">;
type Counted = Pick<Row, "state" | "count" | "total" | "rate">;

export function isDone(state: State): boolean {
  return state !== "pending" && state !== "running";
}

export function fractionOf(row: Pick<Row, "count" | "total">): number | null {
  if (row.total === null) return null;
  return row.total > 0 ? Math.min(Math.max(row.count / row.total, 0), 1) : 1;
}

/** Seconds until the total is reached; null where that cannot be told. */
export function etaOf(row: Counted): number | null {
  if (row.state !== "running" || row.total === null) return null;
  if (row.count >= row.total) return 0;
  return row.rate !== null && row.rate > 0 ? (row.total - row.count) / row.rate : null;
}

export function elapsedOf(row: Timed, at: number): number {
  return row.started === null ? 0 : Math.max(0, (row.ended ?? at) - row.started);
}

/** Seconds without a sign of life; null once it has ended. */
export function idleOf(row: Timed, at: number): number | null {
  if (isDone(row.state)) return null;
  const last = row.beat ?? row.started ?? row.created ?? 0; // a clock that was set back leaves the others ahead
  return last > 0 ? Math.max(0, at - last) : null;
}

export function isStalled(row: Timed, at: number, stallAfter: number): boolean {
  return row.state === "running" && (idleOf(row, at) ?? 0) > stallAfter;
}

export const WORKER_KINDS = ["lost", "stalled", "working", "idle", "gone"] as const;
export type WorkerKind = (typeof WORKER_KINDS)[number];

/** How a worker is: lost is dead at its tasks, gone is dead without any. */
export function workerKind(worker: Worker, at: number, stallAfter: number): WorkerKind {
  if (!worker.alive) return worker.task_count > 0 ? "lost" : "gone";
  if (worker.task_count === 0) return "idle";
  return worker.beat !== null && at - worker.beat > stallAfter ? "stalled" : "working";
}

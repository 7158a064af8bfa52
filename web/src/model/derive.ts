/**
 * Values derived from a row and the time, by the rules of headway/views/numbers.py: tests compare both with
 * test/examples.json. Times are seconds since 1970.
 */

import { FINAL_STATES, LEFT_MOST_S, RATE_LEAST, type Row, type State, type Worker } from "../feed/types";

type Timed = Pick<Row, "state" | "started" | "ended" | "created" | "beat" | "stall_after">;
type Counted = Pick<Row, "state" | "count" | "total" | "rate">;

export function isFinal(state: State): boolean {
  return FINAL_STATES.some((one) => one === state);
}

/** The total, unless the count shows that it is wrong or there is nothing to divide by. */
export function totalOf(row: Pick<Row, "count" | "total">): number | null {
  return row.total !== null && row.total > 0 && row.count <= row.total ? row.total : null;
}

/** How much of the total is counted, from 0 to 1; null without a usable total. */
export function fractionOf(row: Pick<Row, "count" | "total">): number | null {
  const total = totalOf(row);
  return total === null ? null : Math.max(row.count / total, 0);
}

/** Items per second: 0 while the task is stalled. */
export function rateOf(row: Pick<Row, "rate">, stalled: boolean): number | null {
  return stalled ? 0 : row.rate;
}

/** Seconds until the total is reached; null if that is unknown. */
export function etaOf(row: Counted, stalled: boolean): number | null {
  const total = totalOf(row);
  if (row.state !== "running" || total === null) return null;
  if (row.count === total) return 0;
  const rate = rateOf(row, stalled);
  if (rate === null || rate < RATE_LEAST) return null;
  const left = (total - row.count) / rate;
  return left <= LEFT_MOST_S ? left : null;
}

export function elapsedOf(row: Timed, at: number): number {
  return row.started === null ? 0 : Math.max(0, (row.ended ?? at) - row.started);
}

/** Seconds without a sign of life; null once it has ended. */
export function idleOf(row: Timed, at: number): number | null {
  if (isFinal(row.state)) return null;
  const last = row.beat ?? row.started ?? row.created ?? 0; // not the latest: a clock may have been set back
  return last > 0 ? Math.max(0, at - last) : null;
}

/** Is it without a sign of life for longer than this? null: however long, that says nothing. */
function isTooLong(idle: number, stallAfter: number | null): boolean {
  return stallAfter !== null && idle > stallAfter;
}

export function isStalled(row: Timed, at: number): boolean {
  return row.state === "running" && isTooLong(idleOf(row, at) ?? 0, row.stall_after);
}

export const WORKER_KINDS = ["lost", "stalled", "working", "idle", "gone"] as const;
export type WorkerKind = (typeof WORKER_KINDS)[number];

/** The state of a worker: lost means dead with open tasks, gone means dead without. */
export function workerKind(worker: Worker, at: number): WorkerKind {
  if (!worker.alive) return worker.task_count > 0 ? "lost" : "gone";
  if (worker.task_count === 0) return "idle";
  return worker.beat !== null && isTooLong(at - worker.beat, worker.stall_after) ? "stalled" : "working";
}

/** Seconds that a worker has had its item in hand, or had it when its task ended; null where it has none. */
export function inHandFor(worker: Worker, at: number): number | null {
  return worker.item === "" || worker.item_since === null
    ? null
    : Math.max(0, (worker.item_until ?? at) - worker.item_since);
}

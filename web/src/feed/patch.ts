/** The board as the page stores it, and how events change it. Pure data: no network, no clock, no drawing. */

import type { BoardEvent, BoardsEvent, Moved, Row, Summary, Throughput, Worker } from "./types";

/** Rows are changed in place and `revision` shows that they changed: copies of 10 000 rows would cost a frame. */
export interface Board {
  readonly name: string;
  rev: number;
  revision: number;
  summary: Summary | null;
  readonly tasks: Map<number, Row>;
  readonly workers: Map<number, Worker>;
  throughput: Throughput;
}

const SECONDS_KEPT = 15 * 60;

function emptyThroughput(): Throughput {
  return { at: [], running: [], success: [], rates: {} };
}

export function emptyBoard(name: string): Board {
  return {
    name,
    rev: 0,
    revision: 0,
    summary: null,
    tasks: new Map(),
    workers: new Map(),
    throughput: emptyThroughput(),
  };
}

/** Apply an event. Null: an event before this one was missed. */
export function applyBoard(known: Board | null, event: BoardEvent): Board | null {
  let board = known;
  if (event.whole) {
    board = emptyBoard(event.board);
    if (event.throughput) board.throughput = event.throughput;
  } else if (board === null || board.name !== event.board || event.from !== board.rev) {
    return null;
  }
  if (board === null) return null;
  board.rev = event.rev;
  board.revision += 1;
  board.summary = event.summary;
  for (const serial of event.removed) board.tasks.delete(serial);
  for (const row of event.tasks) board.tasks.set(row.serial, row);
  move(board.tasks, event.moved);
  for (const incarnation of event.workers_removed) board.workers.delete(incarnation);
  for (const worker of event.workers) board.workers.set(worker.incarnation, worker);
  if (event.summary) extend(board.throughput, event.summary);
  return board;
}

function move(tasks: Map<number, Row>, moved: Moved): void {
  moved.serial.forEach((serial: number, index: number) => {
    const row = tasks.get(serial);
    if (!row) return;
    row.count = moved.count[index] ?? row.count;
    row.rate = moved.rate[index] ?? null;
    row.beat = moved.beat[index] ?? null;
  });
}

/** Extend the history of the board's throughput, by one point a second. */
export function extend(course: Throughput, summary: Summary): void {
  const { taken_at: at, counts, rates } = summary;
  if (at === null || counts === null || rates === null) return;
  const last = course.at.at(-1);
  if (last !== undefined && at - last < 1) return;
  course.at.push(at);
  course.running.push(counts.running);
  course.success.push(counts.success);
  for (const unit of Object.keys(rates)) {
    course.rates[unit] ??= new Array<number | null>(course.at.length - 1).fill(null);
  }
  for (const [unit, values] of Object.entries(course.rates)) values.push(rates[unit] ?? null);
  while (course.at.length && at - (course.at[0] as number) > SECONDS_KEPT) {
    course.at.shift();
    course.running.shift();
    course.success.shift();
    for (const values of Object.values(course.rates)) values.shift();
  }
}

/** Apply an event about the list of boards, which is sorted by name. */
export function applyBoards(known: readonly Summary[], event: BoardsEvent): Summary[] {
  const boards = new Map(event.whole ? [] : known.map((one) => [one.name, one]));
  for (const name of event.removed) boards.delete(name);
  for (const summary of event.boards) boards.set(summary.name, summary);
  return [...boards.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What the page saw of each task since it was opened: courses of counts and metrics, thinned as they grow. */

import type { BoardEvent, Row } from "../feed/types";
import type { Board } from "../feed/patch";

const POINTS_MOST = 240;
const STEP_S = 0.5;
const TASKS_MOST = 2000;

/** A course of one value. The last point is always the newest; the ones before are at least `step` seconds apart. */
export class Series {
  readonly at: number[] = [];
  readonly values: (number | null)[] = [];
  private step = STEP_S;

  push(at: number, value: number | null): void {
    const newest = this.at.length - 1;
    if (newest >= 0 && at <= (this.at[newest] as number)) return;
    if (newest >= 1 && at - (this.at[newest - 1] as number) < this.step) {
      this.at[newest] = at;
      this.values[newest] = value;
      return;
    }
    this.at.push(at);
    this.values.push(value);
    if (this.at.length > POINTS_MOST) this.thin();
  }

  private thin(): void {
    const last = this.at.length - 1;
    let kept = 0;
    for (let index = 0; index <= last; index++) {
      if (index % 2 && index !== last) continue;
      this.at[kept] = this.at[index] as number;
      this.values[kept] = this.values[index] as number | null;
      kept++;
    }
    this.at.length = this.values.length = kept;
    this.step *= 2;
  }
}

export interface Course {
  count: Series;
  metrics: Map<string, Series>;
}

/** The courses of the tasks of one board; of those that were seen to move last, where they are many. */
export class Courses {
  private uuid: string | null = null;
  private readonly bySerial = new Map<number, Course>();

  of(serial: number): Course | undefined {
    return this.bySerial.get(serial);
  }

  /** Take note of what an event changed; the board is as it is after the event. */
  record(board: Board, event: BoardEvent): void {
    const summary = board.summary;
    if (!summary || summary.taken_at === null) return;
    const identity = `${board.name} ${summary.uuid ?? ""}`;
    if (this.uuid !== identity) {
      this.uuid = identity;
      this.bySerial.clear();
    }
    for (const serial of event.removed) this.bySerial.delete(serial);
    for (const row of event.tasks) this.note(row, summary.taken_at);
    for (const serial of event.moved.serial ?? []) {
      const row = board.tasks.get(serial);
      if (row) this.note(row, summary.taken_at);
    }
  }

  private note(row: Row, at: number): void {
    if (row.started === null) return;
    const course = this.bySerial.get(row.serial) ?? { count: new Series(), metrics: new Map<string, Series>() };
    this.bySerial.delete(row.serial); // to the end: the map is in the order of the last change
    this.bySerial.set(row.serial, course);
    if (this.bySerial.size > TASKS_MOST) {
      for (const oldest of this.bySerial.keys()) {
        this.bySerial.delete(oldest);
        break;
      }
    }
    const moment = row.ended === null ? at : Math.min(at, row.ended);
    course.count.push(moment, row.count);
    for (const [name, value] of Object.entries(row.metrics)) {
      let series = course.metrics.get(name);
      if (!series) course.metrics.set(name, (series = new Series()));
      series.push(moment, value);
    }
  }
}

/** A count's course as rates between its points: x at the end of each interval. `start` is where the run began. */
export function ratesOf(course: Series, start: { at: number; count: number } | null): [number[], (number | null)[]] {
  const at: number[] = [];
  const rates: (number | null)[] = [];
  let before = start;
  course.at.forEach((moment, index) => {
    const count = course.values[index] ?? null;
    if (count === null) return;
    if (before && moment > before.at) {
      const rate = Math.max(0, (count - before.count) / (moment - before.at));
      if (!at.length) {
        at.push(before.at);
        rates.push(rate);
      }
      at.push(moment);
      rates.push(rate);
    }
    before = { at: moment, count };
  });
  return [at, rates];
}

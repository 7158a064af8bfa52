/** Failed tasks by what went wrong: many of one kind are one line. */

import type { Row } from "../feed/types";

export interface Failure {
  /** The error of the newest task. */
  error: string;
  /** The newest first. */
  tasks: Row[];
  /** Do all tasks have this very error? Otherwise they differ in numbers. */
  equal: boolean;
}

/** The kind that most tasks have first, of those alike the one that happened last. */
export function failuresOf(rows: Iterable<Row>): Failure[] {
  const kinds = new Map<string, Row[]>();
  for (const row of rows) {
    if (row.state !== "failed") continue;
    const kind = row.error.replace(/0x[0-9a-f]+|\d+/gi, "#");
    const known = kinds.get(kind);
    if (known) known.push(row);
    else kinds.set(kind, [row]);
  }
  return [...kinds.values()]
    .map((tasks): Failure => {
      tasks.sort((a, b) => endOf(b) - endOf(a) || b.serial - a.serial);
      const error = tasks[0]?.error ?? "";
      return { error, tasks, equal: tasks.every((row) => row.error === error) };
    })
    .sort((a, b) => b.tasks.length - a.tasks.length || lastOf(b) - lastOf(a));
}

function endOf(row: Row): number {
  return row.ended ?? row.beat ?? 0;
}

function lastOf(failure: Failure): number {
  const newest = failure.tasks[0];
  return newest ? endOf(newest) : 0;
}

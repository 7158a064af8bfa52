/** The list of finished tasks that the page has loaded: a first page that is asked for again, and older ones. */

import type { Finished, History } from "../feed/types";

export interface Past {
  readonly tasks: readonly Finished[];
  /** What to give as `before` for the tasks after these; null: there are none. */
  readonly next: string | null;
  /** How many fit in all. */
  readonly count: number;
}

export const keyOf = (task: Finished): string => `${task.uuid} ${task.slot} ${task.generation} ${task.started}`;

/** With the first page asked for again. Older pages are kept if they go on where it ends. */
export function renewed(known: Past | null, first: History): Past {
  const count = first.count ?? first.tasks.length;
  const fresh = new Set(first.tasks.map(keyOf));
  const older = known?.tasks.filter((task) => !fresh.has(keyOf(task))) ?? [];
  const meets = known !== null && older.length < known.tasks.length;
  if (!meets || first.next === null) return { tasks: first.tasks, next: first.next, count };
  const last = first.tasks.at(-1);
  const at = known.tasks.findIndex((task) => last !== undefined && keyOf(task) === keyOf(last));
  if (at < 0) return { tasks: first.tasks, next: first.next, count };
  return {
    tasks: [...first.tasks, ...known.tasks.slice(at + 1).filter((task) => !fresh.has(keyOf(task)))],
    next: at + 1 < known.tasks.length ? known.next : first.next,
    count,
  };
}

/** With the page after these. */
export function extended(known: Past, page: History): Past {
  return {
    tasks: [...known.tasks, ...page.tasks],
    next: page.next,
    count: Math.max(known.count, known.tasks.length + page.tasks.length),
  };
}

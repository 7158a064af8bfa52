/** The names of tasks on the page. */

import type { Row } from "../feed/types";

type Named = Pick<Row, "id" | "label" | "parent">;

/** The id without the parent's id, for lists that show the parent above. */
export function shortId(row: Pick<Row, "id" | "parent">): string {
  const prefix = row.parent === null ? "" : `${row.parent}/`;
  return row.id.startsWith(prefix) ? row.id.slice(prefix.length) || row.id : row.id;
}

/** Is there anything to see of it? Not of spaces, of controls, of characters without a width. */
export function isVisible(text: string): boolean {
  return /[^\s\p{Cc}\p{Default_Ignorable_Code_Point}\u2800]/u.test(text);
}

/** Has the task a label of its own? The default label of a child is the end of its id. */
function hasLabel(row: Named): boolean {
  return isVisible(row.label) && row.label !== row.id && row.label !== shortId(row);
}

/** The name of a task that is shown by itself. */
export function nameOf(row: Named): string {
  return hasLabel(row) ? row.label : row.id;
}

/** The name of a task below its parent, and its id if that differs from the name. */
export function namesBelowParent(row: Named): [name: string, id: string | null] {
  return hasLabel(row) ? [row.label, shortId(row)] : [shortId(row), null];
}

/** A child's id begins with its parent's, so the longer of the two is the deeper. */
export function deepestFirst<T extends { id: string }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => b.id.length - a.id.length);
}

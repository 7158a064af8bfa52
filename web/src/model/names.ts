/** What to call a task. */

import type { Row } from "../feed/types";

type Named = Pick<Row, "id" | "label" | "parent">;

/** The id without that of the parent, for where the parent stands above. */
export function shortId(row: Pick<Row, "id" | "parent">): string {
  const prefix = row.parent === null ? "" : `${row.parent}/`;
  return row.id.startsWith(prefix) ? row.id.slice(prefix.length) || row.id : row.id;
}

/** A child that was given no label has the end of its id as one; that tells nothing more. */
function hasLabel(row: Named): boolean {
  return row.label !== "" && row.label !== row.id && row.label !== shortId(row);
}

/** For where it stands alone. */
export function nameOf(row: Named): string {
  return hasLabel(row) ? row.label : row.id;
}

/** For where its parent stands above: the name, and the id where the name is another one. */
export function namesBelowParent(row: Named): [name: string, id: string | null] {
  return hasLabel(row) ? [row.label, shortId(row)] : [shortId(row), null];
}

/** A child's id begins with its parent's, so the longer of the two is the deeper. */
export function deepestFirst<T extends { id: string }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => b.id.length - a.id.length);
}

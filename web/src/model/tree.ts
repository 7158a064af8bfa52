/** Tasks as the lines of a list: a tree, filtered and sorted. */

import { type Row, type State, URGENCY } from "../feed/types";
import { elapsedOf, etaOf, fractionOf, isStalled, rateOf } from "./derive";

export const SORTS = ["state", "name", "progress", "rate", "eta", "elapsed", "created"] as const;
export type Sort = (typeof SORTS)[number];

export type Filter = State | "stalled";

export interface Query {
  text: string;
  states: ReadonlySet<Filter>;
  sort: Sort;
  descending: boolean;
}

export interface Line {
  row: Row;
  depth: number;
  /** The number of children, shown or not. */
  children: number;
  open: boolean;
  /** Shown only because a task below it matches. */
  dim: boolean;
  stalled: boolean;
  /** Its place among its siblings, from 1, and how many they are. */
  place: number;
  siblings: number;
}

interface Node {
  row: Row;
  key: number | string;
  children: Node[];
  stalled: boolean;
  matches: boolean;
  shown: boolean;
}

const LAST = Number.POSITIVE_INFINITY; // unknown values come last in both orders

export function isStable(sort: Sort): boolean {
  return sort === "state" || sort === "name" || sort === "created";
}

function keyOf(row: Row, sort: Sort, stalled: boolean, at: number): number | string {
  switch (sort) {
    case "state":
      return URGENCY[row.state] - (stalled ? 0.5 : 0); // stalled tasks before the other running ones
    case "name":
      return (row.label || row.id).toLowerCase();
    case "progress":
      return fractionOf(row) ?? LAST;
    case "rate":
      return row.state === "running" ? (rateOf(row, stalled) ?? LAST) : LAST;
    case "eta":
      return etaOf(row, stalled) ?? LAST;
    case "elapsed":
      return row.started === null ? LAST : elapsedOf(row, at);
    case "created":
      return row.serial;
  }
}

function compare(a: Node, b: Node, descending: boolean): number {
  if (a.key !== b.key) {
    if (a.key === LAST) return 1;
    if (b.key === LAST) return -1;
    const order = a.key < b.key ? -1 : 1;
    return descending ? -order : order;
  }
  return a.row.serial - b.row.serial;
}

export function matchesText(row: Row, words: readonly string[]): boolean {
  if (!words.length) return true;
  const text = `${row.id}\n${row.label}\n${row.stage}\n${row.message}\n${row.error}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function matchesState(row: Row, stalled: boolean, states: ReadonlySet<Filter>): boolean {
  return states.size === 0 || states.has(row.state) || (stalled && states.has("stalled"));
}

/** A task stands where the most urgent one below it would: what runs is first, also below a parent that has ended. */
function raise(node: Node): number {
  for (const child of node.children) node.key = Math.min(node.key as number, raise(child));
  return node.key as number;
}

/** A task that matches is shown with its parents, so that it is clear where it belongs. */
export function linesOf(rows: Iterable<Row>, query: Query, closed: ReadonlySet<string>, at: number): Line[] {
  const words = query.text.toLowerCase().split(/\s+/).filter(Boolean);
  const nodes = new Map<string, Node>();
  for (const row of rows) {
    if ((nodes.get(row.id)?.row.serial ?? -1) > row.serial) continue; // started anew: for a moment both tasks exist
    const stalled = isStalled(row, at);
    const matches = matchesState(row, stalled, query.states) && matchesText(row, words);
    const key = keyOf(row, query.sort, stalled, at);
    nodes.set(row.id, { row, key, children: [], stalled, matches, shown: matches });
  }
  const roots: Node[] = [];
  for (const node of nodes.values()) {
    const parent = node.row.parent === null ? undefined : nodes.get(node.row.parent);
    // A child's id begins with its parent's, so there are no cycles; but a file may hold anything.
    (parent && parent.row.id.length < node.row.id.length ? parent.children : roots).push(node);
  }
  if (query.sort === "state") for (const root of roots) raise(root);
  const lines: Line[] = [];
  const narrowed = words.length > 0 || query.states.size > 0;
  const order = (a: Node, b: Node): number => compare(a, b, query.descending);
  const mark = (node: Node): boolean => {
    for (const child of node.children) if (mark(child)) node.shown = true;
    return node.shown;
  };
  const add = (siblings: Node[], depth: number): void => {
    const shown = narrowed ? siblings.filter((node) => node.shown) : siblings;
    shown.sort(order);
    shown.forEach((node, index) => {
      const open = node.children.length > 0 && !closed.has(node.row.id);
      lines.push({
        row: node.row,
        depth,
        children: node.children.length,
        open,
        dim: narrowed && !node.matches,
        stalled: node.stalled,
        place: index + 1,
        siblings: shown.length,
      });
      if (open) add(node.children, depth + 1);
    });
  };
  if (narrowed) for (const root of roots) mark(root);
  add(roots, 0);
  return lines;
}

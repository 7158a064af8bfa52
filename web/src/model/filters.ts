/** The filters and the order of a list of tasks, as parameters of an address. */

import { BY_URGENCY, type Row, STATES } from "../feed/types";
import type { Params } from "../route";
import { isStalled } from "./derive";
import { type Filter, type Query, SORTS, type Sort } from "./tree";

/** By urgency; stalled tasks are a part of the running ones. */
export const FILTERS: readonly Filter[] = BY_URGENCY.flatMap((state): Filter[] =>
  state === "running" ? ["running", "stalled"] : [state],
);

/** How many tasks of a list each filter finds. */
export function foundBy(rows: Iterable<Row>, at: number): Record<Filter, number> {
  const found = { pending: 0, running: 0, stalled: 0, success: 0, failed: 0, cancelled: 0, lost: 0 };
  for (const row of rows) {
    found[row.state] += 1;
    if (isStalled(row, at)) found.stalled += 1;
  }
  return found;
}

/** Sorts that begin with the largest. */
const FALLING: ReadonlySet<Sort> = new Set(["rate", "progress", "elapsed"]);

export function linkedFilters(params: Params): Query {
  const [sort = "state", way] = (params["sort"] ?? "").split("-");
  const known = SORTS.find((one) => one === sort) ?? "state";
  const states = (params["state"] ?? "").split(",");
  return {
    text: params["q"] ?? "",
    states: new Set([...STATES, "stalled" as const].filter((one) => states.includes(one))),
    sort: known,
    descending: way === "down" || (way !== "up" && FALLING.has(known)),
  };
}

export function paramsOf(query: Query): Params {
  const usual = query.descending === FALLING.has(query.sort);
  const way = usual ? "" : query.descending ? "-down" : "-up";
  const sort = query.sort + way;
  return { q: query.text, state: [...query.states].join(","), sort: sort === "state" ? "" : sort };
}

/** Sort by this; if the list is sorted by it already, reverse the order. */
export function sortedBy(query: Query, sort: Sort): Query {
  return { ...query, sort, descending: sort === query.sort ? !query.descending : FALLING.has(sort) };
}

export function toggled(query: Query, filter: Filter): Query {
  const states = new Set(query.states);
  if (!states.delete(filter)) states.add(filter);
  return { ...query, states };
}

/** The boards in the order in which a person looks at them, and which of them are shown. */

import type { Summary } from "../feed/types";
import type { Params } from "../route";
import { isWorking } from "./run";

/** live: tasks are open, and the recorder writes. failing: something went wrong. silent: open, but nobody writes. */
export const BOARD_KINDS = ["live", "failing", "silent", "at rest"] as const;
export type BoardKind = (typeof BOARD_KINDS)[number];

export interface BoardQuery {
  text: string;
  kinds: ReadonlySet<BoardKind>;
}

export function wrongIn(summary: Summary): number {
  return (summary.counts?.lost ?? 0) + (summary.counts?.failed ?? 0);
}

/** A board may be live and failing. */
export function kindsOf(summary: Summary): BoardKind[] {
  const kinds: BoardKind[] = [];
  if (summary.silent_since !== null) kinds.push("silent");
  else if (isWorking(summary)) kinds.push("live");
  if (summary.error !== null || wrongIn(summary) > 0) kinds.push("failing");
  return kinds.length ? kinds : ["at rest"];
}

export interface Section {
  kind: BoardKind;
  boards: Summary[];
}

/** Live boards first, then those that failed, are silent, at rest; in each the failing first, then the latest. */
export function sectionsOf(boards: readonly Summary[], query: BoardQuery): Section[] {
  const words = query.text.toLowerCase().split(/\s+/).filter(Boolean);
  const sections = new Map(BOARD_KINDS.map((kind): [BoardKind, Summary[]] => [kind, []]));
  for (const board of boards) {
    const kinds = kindsOf(board);
    if (query.kinds.size > 0 && !kinds.some((kind) => query.kinds.has(kind))) continue;
    const text = `${board.name}\n${board.host ?? ""}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    sections.get(kinds.find((kind) => kind !== "failing") ?? "failing")?.push(board);
  }
  for (const [kind, found] of sections) found.sort((a, b) => compare(a, b, kind === "live"));
  return [...sections].filter(([, found]) => found.length > 0).map(([kind, found]) => ({ kind, boards: found }));
}

/** What is live is written all the time: it stays where it is, by name. */
function compare(a: Summary, b: Summary, live: boolean): number {
  const wrong = Number(wrongIn(b) > 0) - Number(wrongIn(a) > 0);
  const later = live ? 0 : Math.floor(b.taken_at ?? 0) - Math.floor(a.taken_at ?? 0);
  return wrong || later || (a.name < b.name ? -1 : 1);
}

export function linkedQuery(params: Params): BoardQuery {
  const kinds = (params["state"] ?? "").split(",");
  return { text: params["q"] ?? "", kinds: new Set(BOARD_KINDS.filter((kind) => kinds.includes(kind))) };
}

export function paramsOfBoards(query: BoardQuery): Params {
  return { q: query.text, state: [...query.kinds].join(",") };
}

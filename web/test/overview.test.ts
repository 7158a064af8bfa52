import { describe, expect, it } from "vitest";
import type { Row, Summary } from "../src/feed/types";
import { kindsOf, linkedQuery, paramsOfBoards, sectionsOf } from "../src/model/boards";
import { failuresOf } from "../src/model/failures";
import { foundBy } from "../src/model/filters";
import { isVisible, nameOf } from "../src/model/names";
import { runOf, workersAlive } from "../src/model/run";
import type { Line } from "../src/model/tree";
import { clock, clockWithDay } from "../src/view/clock";
import { inFull, listed, widthsOf } from "../src/view/columns";
import { row, summary } from "./rows";

const NO_COUNTS = {
  pending: 0,
  running: 0,
  success: 0,
  failed: 0,
  cancelled: 0,
  lost: 0,
  total: 0,
  ended: 0,
  stalled: 0,
};

function counted(more: Partial<typeof NO_COUNTS>, rest: Partial<Summary> = {}): Summary {
  return summary({ counts: { ...NO_COUNTS, ...more }, ...rest });
}

function failed(id: string, error: string, ended: number): Row {
  return row(id, { state: "failed", error, ended });
}

const onBoard = (rows: Row[]): Map<number, Row> => new Map(rows.map((one) => [one.serial, one]));

describe("failed tasks", () => {
  it("equal errors are one kind, the most frequent first, of those alike the latest", () => {
    const rows = [
      failed("a", "late", 30),
      failed("b", "often", 10),
      failed("c", "often", 20),
      failed("d", "early", 5),
      row("e"),
    ];
    const failures = failuresOf(rows);
    expect(failures.map(({ error, tasks }) => [error, ...tasks.map((one) => one.id)])).toEqual([
      ["often", "c", "b"],
      ["late", "a"],
      ["early", "d"],
    ]);
    expect(failures.every((one) => one.equal)).toBe(true);
  });

  it("errors that differ in numbers are one kind, which says so", () => {
    const [one, ...none] = failuresOf([failed("a", "column 8 at 0x7f3a", 1), failed("b", "column 19 at 0xff", 2)]);
    expect(one).toMatchObject({ error: "column 19 at 0xff", equal: false });
    expect(none).toEqual([]);
  });
});

describe("the run of a board", () => {
  it("begins with its first task, and has no end while one is open", () => {
    const rows = [row("a", { started: 110, ended: 120, state: "success" }), row("b", { started: 105 })];
    expect(runOf(counted({ running: 1, success: 1, total: 2 }), onBoard(rows))).toEqual({
      started: 105,
      ended: null,
      gone: 0,
    });
  });

  it("ends with its last task, a lost one with its last sign of life", () => {
    const rows = [
      row("a", { started: 110, ended: 120, state: "success" }),
      row("b", { started: 105, beat: 130, state: "lost" }),
    ];
    expect(runOf(counted({ lost: 1, success: 1, total: 2 }), onBoard(rows)).ended).toBe(130);
  });

  it("began no later than the board where tasks have left it", () => {
    const rows = [row("a", { started: 110, ended: 120, state: "success" })];
    expect(runOf(counted({ success: 2, total: 2 }, { created_at: 90 }), onBoard(rows))).toEqual({
      started: 90,
      ended: 120,
      gone: 1,
    });
    expect(runOf(counted({}), onBoard([]))).toEqual({ started: null, ended: null, gone: 0 });
  });

  it("has workers that are alive only where somebody looks", () => {
    expect(workersAlive(counted({ running: 1 }, { recorder: "gone" }))).toBe(1);
    expect(workersAlive(counted({ success: 1 }, { recorder: "alive" }))).toBe(1);
    expect(workersAlive(counted({ success: 1 }, { recorder: "gone" }))).toBeNull();
  });
});

describe("the list of boards", () => {
  const boards = [
    counted({ success: 1 }, { name: "old", taken_at: 10 }),
    counted({ success: 1 }, { name: "new", taken_at: 90 }),
    counted({ failed: 1 }, { name: "broken" }),
    counted({ running: 1 }, { name: "stopped", silent_since: 50 }),
    counted({ running: 1 }, { name: "b-live" }),
    counted({ running: 1, failed: 1 }, { name: "c-live" }),
    summary({ name: "unreadable", counts: null, error: { code: "x", detail: "y" } }),
  ];
  const namesIn = (text: string, kinds: string): string[] =>
    sectionsOf(boards, linkedQuery({ q: text, state: kinds })).flatMap((one) => one.boards.map(({ name }) => name));

  it("begins with what is live, the failing first, and ends with what is at rest, the latest first", () => {
    expect(namesIn("", "")).toEqual(["c-live", "b-live", "broken", "unreadable", "stopped", "new", "old"]);
  });

  it("is searched by words of names and hosts, and filtered by kind", () => {
    expect(namesIn("LIVE b-l", "")).toEqual(["b-live"]);
    expect(namesIn("box", "at rest")).toEqual(["new", "old"]);
    expect(namesIn("", "failing")).toEqual(["c-live", "broken", "unreadable"]);
    expect(kindsOf(boards[5] as Summary)).toEqual(["live", "failing"]);
  });

  it("stands in the address", () => {
    const query = { text: "a b", kinds: new Set(["live", "at rest"] as const) };
    expect(linkedQuery(paramsOfBoards(query))).toEqual(query);
    expect(linkedQuery({ state: "asleep" }).kinds.size).toBe(0);
  });
});

describe("names and numbers of the list", () => {
  it.each(["", " \t", "\u200b\u2060", "\u3164", "\u2800", "\ufeff\u00ad", "\u0007"])("%j cannot be seen", (text) => {
    expect(isVisible(text)).toBe(false);
    expect(nameOf(row("a", { label: text }))).toBe("a");
  });

  it.each(["a", "–", "שלום", "\u200b1", "🚀"])("%j can be seen", (text) => expect(isVisible(text)).toBe(true));

  it("filters tell what they find in the list, a stalled task twice", () => {
    const rows = [row("a"), row("b", { beat: 80, started: 80, created: 80 }), row("c", { state: "failed" })];
    expect(foundBy(rows, 100)).toMatchObject({ running: 2, stalled: 1, failed: 1, success: 0 });
  });

  const lineOf = (count: number, total: number | null, unit = "it"): Line => ({
    row: row("a", { count, total, unit }),
    depth: 0,
    children: 0,
    open: false,
    dim: false,
    stalled: false,
    place: 1,
    siblings: 1,
  });

  it.each([
    [999_999, 999_999, "it"],
    [28_410_000, 40_000_000, "it"],
    [7, null, "it"],
    [2_020_000_000, 212_000_000_000, "B"],
    [1023 << 20, 5 * 2 ** 30, "iB"],
    [5, 1_200_000, "it"],
    [9_999_999, null, "it"],
  ] as const)("the column of counts has room for %d of %s %s", (count, total, unit) => {
    const words = total === null ? listed(count, unit) : `${listed(count, unit)} / ${listed(total, unit)}`;
    const narrow = words.replace(/[^ ]/g, "").length; // a space is half as wide as a digit
    expect(widthsOf([lineOf(count, total, unit)]).count).toBeGreaterThanOrEqual(words.length - narrow / 2);
  });

  it("a large count is short in the list and in full in its tooltip", () => {
    expect(listed(1_234_567, "bar")).toBe("1.23M");
    expect(inFull(row("a", { count: 1_234_567, total: 2_000_000, unit: "bar" }))).toBe("1,234,567 of 2,000,000 bar");
    expect(inFull(row("a", { count: 3, unit: "" }))).toBe("3");
  });
});

describe("times of day", () => {
  const at = (text: string): number => new Date(text).getTime() / 1000;

  it("say the day only where it is another one", () => {
    const now = at("2026-03-03T22:00:00");
    expect(clock(at("2026-03-03T04:10:09"), true)).toBe("04:10:09");
    expect(clockWithDay(at("2026-03-03T23:05:00"), now)).toBe("23:05");
    expect(clockWithDay(at("2026-03-04T04:10:00"), now)).toMatch(/^\S+ 04:10$/);
    expect(clockWithDay(at("2026-04-20T04:10:00"), now)).toMatch(/20.* 04:10$/);
    expect(clockWithDay(at("2028-04-20T04:10:00"), now)).toMatch(/2028/);
  });
});

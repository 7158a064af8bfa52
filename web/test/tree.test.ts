import { describe, expect, it } from "vitest";
import { linkedFilters, paramsOf, sortedBy, toggled } from "../src/model/filters";
import { linesOf, type Query } from "../src/model/tree";
import { row } from "./rows";

const ALL: Query = linkedFilters({});
const NONE: ReadonlySet<string> = new Set();

function ids(rows: ReturnType<typeof row>[], query: Partial<Query> = {}, closed = NONE, at = 100): string[] {
  return linesOf(rows, { ...ALL, ...query }, closed, at).map((line) => `${"  ".repeat(line.depth)}${line.row.id}`);
}

describe("lines of a list", () => {
  it("children stand below their parents, whatever the order of their making", () => {
    expect(ids([row("a/x", { parent: "a" }), row("b"), row("a"), row("a/x/y", { parent: "a/x" })])).toEqual([
      "b",
      "a",
      "  a/x",
      "    a/x/y",
    ]);
  });

  it("a task whose parent has gone stands by itself", () => {
    expect(ids([row("a/x", { parent: "a" })])).toEqual(["a/x"]);
  });

  it("a ring of parents, which no honest board holds, loses nobody and ends", () => {
    expect(ids([row("aa", { parent: "b" }), row("b", { parent: "aa" })]).length).toBe(2);
    expect(ids([row("a", { parent: "a" })])).toEqual(["a"]);
  });

  it("of an id that was started anew, only the new task is there", () => {
    const old = row("a", { count: 1 });
    const anew = row("a", { count: 2 });
    expect(linesOf([anew, old], ALL, NONE, 100).map((line) => line.row.count)).toEqual([2]);
  });

  it("by urgency: stalled, running, lost, failed, pending, cancelled, success", () => {
    const rows = [
      row("success", { state: "success" }),
      row("pending", { state: "pending" }),
      row("running"),
      row("cancelled", { state: "cancelled" }),
      row("stalled", { beat: 80, started: 80, created: 80 }),
      row("failed", { state: "failed" }),
      row("lost", { state: "lost" }),
    ];
    expect(ids(rows)).toEqual(["stalled", "running", "lost", "failed", "pending", "cancelled", "success"]);
  });

  it("by urgency: a task stands where the most urgent below it would", () => {
    const rows = [
      row("done", { state: "success" }),
      row("ended", { state: "success" }),
      row("ended/goes-on", { parent: "ended" }),
      row("broken", { state: "failed" }),
    ];
    expect(ids(rows)).toEqual(["ended", "  ended/goes-on", "broken", "done"]);
  });

  it("by rate: a stalled task counts nothing", () => {
    const rows = [row("stalled", { beat: 80, rate: 99 }), row("slow", { rate: 1 })];
    expect(ids(rows, { sort: "rate", descending: true })).toEqual(["slow", "stalled"]);
  });

  it("what is unknown comes last, whichever way the list is sorted", () => {
    const rows = [row("unknown"), row("slow", { rate: 1 }), row("fast", { rate: 9 })];
    expect(ids(rows, { sort: "rate", descending: true })).toEqual(["fast", "slow", "unknown"]);
    expect(ids(rows, { sort: "rate", descending: false })).toEqual(["slow", "fast", "unknown"]);
  });

  it("what matches is shown with those above it, which are dim", () => {
    const rows = [row("a"), row("a/x", { parent: "a", state: "lost" }), row("a/y", { parent: "a" }), row("b")];
    const lines = linesOf(rows, { ...ALL, states: new Set(["lost"]) }, NONE, 100);
    expect(lines.map((line) => [line.row.id, line.dim])).toEqual([
      ["a", true],
      ["a/x", false],
    ]);
  });

  it("all words of a search have to be found, in id, label, stage, message or error", () => {
    const rows = [
      row("a", { label: "Bitcoin hourly", stage: "fit" }),
      row("b", { label: "Bitcoin daily" }),
      row("c", { error: "FIT bitcoin" }),
    ];
    expect(ids(rows, { text: "fit  BITcoin" })).toEqual(["a", "c"]);
  });

  it("stalled is a filter of its own, and running holds the stalled too", () => {
    const rows = [row("a"), row("b", { beat: 50, started: 50, created: 50 })];
    expect(ids(rows, { states: new Set(["stalled"]) })).toEqual(["b"]);
    expect(ids(rows, { states: new Set(["running"]) })).toEqual(["b", "a"]);
  });

  it("what is folded away is not shown, and its parent tells how many there are", () => {
    const rows = [row("a"), row("a/x", { parent: "a" }), row("a/y", { parent: "a" })];
    const lines = linesOf(rows, ALL, new Set(["a"]), 100);
    expect(lines.map((line) => [line.row.id, line.open, line.children])).toEqual([["a", false, 2]]);
  });

  it("of 10 000 tasks each is looked at some dozens of times while they are sorted, not thousands", () => {
    let looks = 0;
    const rows = Array.from({ length: 10_000 }, (_, index) => {
      const one = row(`all/${index}`, { parent: "all", rate: index % 97 });
      const { serial } = one; // compared wherever two rates are equal
      return Object.defineProperty(one, "serial", {
        get: () => {
          looks += 1;
          return serial;
        },
      });
    });
    const query = { ...ALL, sort: "rate" as const, descending: true, text: "all" };
    expect(linesOf([row("all"), ...rows], query, NONE, 100).length).toBe(10_001);
    expect(looks).toBeGreaterThan(10_000);
    expect(looks).toBeLessThan(10_000 * 100);
  });
});

describe("filters in an address", () => {
  it("come back as they went", () => {
    const query: Query = { text: "a b&c=d", states: new Set(["lost", "stalled"]), sort: "rate", descending: false };
    expect(linkedFilters(paramsOf(query))).toEqual(query);
    expect(linkedFilters(paramsOf(ALL))).toEqual(ALL);
  });

  it("leave nothing in the address where nothing is chosen", () => {
    expect(Object.values(paramsOf(ALL)).join("")).toBe("");
  });

  it("what nobody knows is passed over", () => {
    expect(linkedFilters({ sort: "beauty-down", state: "lost,asleep" })).toMatchObject({
      sort: "state",
      states: new Set(["lost"]),
    });
  });

  it("a second choice of a sort turns it round, a second choice of a state drops it", () => {
    expect(sortedBy(sortedBy(ALL, "rate"), "rate")).toMatchObject({ sort: "rate", descending: false });
    expect(toggled(toggled(ALL, "lost"), "lost").states.size).toBe(0);
  });
});

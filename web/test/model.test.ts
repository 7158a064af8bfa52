import { describe, expect, it } from "vitest";
import { deathsOf } from "../src/model/deaths";
import type { State } from "../src/feed/types";
import {
  elapsedOf,
  etaOf,
  fractionOf,
  idleOf,
  inHandFor,
  isStalled,
  rateOf,
  totalOf,
  workerKind,
} from "../src/model/derive";
import { type Point, ratesOf } from "../src/model/series";
import { stretchesOf, sumsOf } from "../src/model/stages";
import examples from "./examples.json";
import { row, worker } from "./rows";

type Maybe = number | null;
type Left = [state: State, count: number, total: Maybe, rate: Maybe, left: Maybe, fraction: Maybe];
type Seen = [beat: Maybe, started: Maybe, created: Maybe, idle: Maybe, stallAfter: Maybe, stalled: boolean];

describe("what follows from a row", () => {
  it("a count above its total drops the total, and nothing is a part of nothing", () => {
    expect(totalOf(row("a", { count: 35, total: 10 }))).toBeNull();
    expect(fractionOf(row("a", { count: 35, total: 10 }))).toBeNull();
    expect(fractionOf(row("a", { count: 0, total: 0 }))).toBeNull();
    expect(fractionOf(row("a", { count: 3 }))).toBeNull();
    expect(fractionOf(row("a", { count: 10, total: 10 }))).toBe(1);
  });

  it("a stalled task has no rate and no time left", () => {
    const running = row("a", { count: 10, total: 30, rate: 5 });
    expect([rateOf(running, false), etaOf(running, false)]).toEqual([5, 4]);
    expect([rateOf(running, true), etaOf(running, true)]).toEqual([0, null]);
  });

  it.each(examples.left as Left[])("%s %d of %s at %s a second: as the server reckons", (...example) => {
    const [state, count, total, rate, left, fraction] = example;
    const shown = row("a", { state, count, total, rate });
    expect(etaOf(shown, false)).toBe(left);
    expect(fractionOf(shown)).toBe(fraction);
  });

  it.each(examples.stalled as Seen[])("last seen at %s, %s, %s: as the server reckons", (...example) => {
    const [beat, started, created, idle, stall_after, stalled] = example;
    const shown = row("a", { beat, started, created, stall_after });
    expect(idleOf(shown, 100)).toBe(idle);
    expect(isStalled(shown, 100)).toBe(stalled);
  });

  it("time taken ends with the task, and is never negative", () => {
    expect(elapsedOf(row("a", { started: 50, ended: 60 }), 100)).toBe(10);
    expect(elapsedOf(row("a", { started: 50 }), 100)).toBe(50);
    expect(elapsedOf(row("a", { started: 50 }), 40)).toBe(0);
    expect(elapsedOf(row("a", { started: null }), 100)).toBe(0);
  });

  it("a task that runs without a sign of life is stalled, one that has ended never", () => {
    expect(isStalled(row("a"), 111)).toBe(true);
    expect(isStalled(row("a"), 110)).toBe(false);
    expect(isStalled(row("a", { state: "success" }), 500)).toBe(false);
    expect(idleOf(row("a", { state: "lost" }), 500)).toBeNull();
    expect(idleOf(row("a", { created: null, started: null, beat: null }), 500)).toBeNull();
    expect(idleOf(row("a", { created: 500, started: 500, beat: 100 }), 111), "the clock was set back").toBe(11);
  });

  it("each task has a time of its own after which it is stalled, and some never are", () => {
    expect(isStalled(row("a", { stall_after: 3600 }), 3700)).toBe(false);
    expect(isStalled(row("a", { stall_after: 3600 }), 3701)).toBe(true);
    expect(isStalled(row("a", { stall_after: null }), 1e9)).toBe(false);
    expect(workerKind(worker(1, { task_count: 1, beat: 80, stall_after: 30 }), 100)).toBe("working");
    expect(workerKind(worker(1, { task_count: 1, beat: 80, stall_after: null }), 1e9)).toBe("working");
  });

  it("what is in hand is so until now, or until its task ended", () => {
    expect(inHandFor(worker(1), 100)).toBeNull();
    expect(inHandFor(worker(1, { item: "BTC", item_since: 90 }), 100)).toBe(10);
    expect(inHandFor(worker(1, { item: "BTC", item_since: 90, item_until: 95 }), 100)).toBe(5);
    expect(inHandFor(worker(1, { item: "BTC", item_since: 110 }), 100), "the clock was set back").toBe(0);
    expect(inHandFor(worker(1, { item: "BTC" }), 100)).toBeNull();
  });

  it("a worker is lost at its tasks, and gone without any", () => {
    expect(workerKind(worker(1, { alive: false, task_count: 1 }), 100)).toBe("lost");
    expect(workerKind(worker(1, { alive: false }), 100)).toBe("gone");
    expect(workerKind(worker(1, { task_count: 1, beat: 80 }), 100)).toBe("stalled");
    expect(workerKind(worker(1, { task_count: 1 }), 100)).toBe("working");
    expect(workerKind(worker(1), 100)).toBe("idle");
  });
});

describe("what died and where", () => {
  it("a dead worker is told with its tasks, the lost ones first", () => {
    const all = row("all");
    const fold = row("all/fold", { state: "lost", owner_pid: 4701, parent: "all" });
    const [death, ...more] = deathsOf(
      [all, fold],
      [worker(1, { alive: false, task_count: 2, tasks: ["all", "all/fold"] }), worker(2)],
    );
    expect(more).toEqual([]);
    expect(death?.pid).toBe(4701);
    expect(death?.worker?.incarnation).toBe(1);
    expect(death?.tasks.map((one) => one.id)).toEqual(["all/fold", "all"]);
  });

  it("tasks that were lost with one owner are told together, though it stands in no table any more", () => {
    const deaths = deathsOf(
      [
        row("a", { state: "lost", owner_pid: 9 }),
        row("b", { state: "lost", owner_pid: 9 }),
        row("c", { state: "lost", owner_pid: 8, beat: 105 }),
      ],
      [],
    );
    expect(deaths.map((one) => [one.pid, one.tasks.length])).toEqual([
      [8, 1],
      [9, 2],
    ]);
  });

  it("a task that survived a death is told where no worker is left that says so", () => {
    expect(deathsOf([row("a", { lost_count: 1 })], []).map((one) => one.pid)).toEqual([0]);
    expect(
      deathsOf([row("a", { lost_count: 1 })], [worker(1, { alive: false, task_count: 1, tasks: ["a"] })]).length,
    ).toBe(1);
  });

  it("who left in good order did not die", () => {
    expect(deathsOf([row("a"), row("b", { state: "failed" })], [worker(1, { alive: false })])).toEqual([]);
  });
});

describe("the course of a task", () => {
  it("rates begin where the run began", () => {
    const series: Point[] = [
      [110, 40],
      [112, 60],
    ];
    expect(ratesOf(series, { at: 100, count: 0 })).toEqual([
      [100, 110, 112],
      [4, 4, 10],
    ]);
    expect(ratesOf(series, null)).toEqual([
      [110, 112],
      [10, 10],
    ]);
  });

  it("what was counted back, or told twice, makes no rate below zero and none without end", () => {
    const series: Point[] = [
      [110, 40],
      [112, 30],
      [112, 35],
      [113, null],
      [114, 39],
    ];
    expect(ratesOf(series, null)).toEqual([
      [110, 112, 114],
      [0, 0, 2],
    ]);
  });
});

describe("stages", () => {
  const stages = [
    { name: "load", entered: 0, left: 2 },
    { name: "fit", entered: 2, left: 5 },
    { name: "load", entered: 5, left: null },
  ];

  it("keep their colour, and the last goes on until now", () => {
    const stretches = stretchesOf(stages, 9);
    expect(stretches.map((one) => one.color)).toEqual([0, 1, 0]);
    expect(stretches.at(-1)).toMatchObject({ from: 5, until: 9, current: true });
  });

  it("are summed by name", () => {
    expect(sumsOf(stretchesOf(stages, 9)).map((sum) => [sum.name, sum.seconds, sum.times])).toEqual([
      ["load", 6, 2],
      ["fit", 3, 1],
    ]);
  });

  it("never last less than nothing, whatever a clock did", () => {
    expect(stretchesOf([{ name: "a", entered: 5, left: 3 }], 1)[0]).toMatchObject({ from: 5, until: 5 });
    expect(stretchesOf([{ name: "a", entered: null, left: null }], 1)).toEqual([]);
  });
});

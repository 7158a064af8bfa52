import { describe, expect, it } from "vitest";
import { applyBoard, applyBoards, type Board } from "../src/feed/patch";
import { event, row, summary, worker } from "./rows";

function known(...rows: ReturnType<typeof row>[]): Board {
  return applyBoard(null, event({ whole: true, from: null, rev: 1, tasks: rows })) as Board;
}

describe("events of a board", () => {
  it("a whole one forgets all that was known", () => {
    const old = known(row("a"));
    const next = applyBoard(old, event({ whole: true, from: null, rev: 9, tasks: [row("b")], workers: [worker(1)] }));
    expect([...(next?.tasks.values() ?? [])].map((one) => one.id)).toEqual(["b"]);
    expect(next?.workers.size).toBe(1);
    expect(next?.rev).toBe(9);
  });

  it("a patch replaces rows by serial and leaves the others", () => {
    const a = row("a");
    const b = row("b");
    const next = applyBoard(known(a, b), event({ tasks: [{ ...a, state: "success" }] }));
    expect(next?.tasks.get(a.serial)?.state).toBe("success");
    expect(next?.tasks.get(b.serial)?.state).toBe("running");
  });

  it("what moved keeps everything but count, rate and beat", () => {
    const a = row("a", { stage: "fit", count: 1, rate: 3 });
    const next = applyBoard(known(a), event({ moved: { serial: [a.serial], count: [7], rate: [null], beat: [101] } }));
    expect(next?.tasks.get(a.serial)).toMatchObject({ stage: "fit", count: 7, rate: null, beat: 101 });
  });

  it("what moved but was never told of is passed over", () => {
    const a = row("a");
    const next = applyBoard(known(a), event({ moved: { serial: [9999], count: [7], rate: [1], beat: [1] } }));
    expect(next?.tasks.size).toBe(1);
  });

  it("a serial that is removed and told anew in one event is there", () => {
    const a = row("a");
    const next = applyBoard(known(a), event({ removed: [a.serial], tasks: [{ ...a, count: 5 }] }));
    expect(next?.tasks.get(a.serial)?.count).toBe(5);
  });

  it("a patch that does not follow on what is known is refused", () => {
    expect(applyBoard(known(row("a")), event({ from: 7, rev: 8 }))).toBeNull();
    expect(applyBoard(null, event())).toBeNull();
    expect(applyBoard(known(), event({ board: "other" }))).toBeNull();
  });

  it("a patch applied twice does no harm", () => {
    const a = row("a");
    const patch = event({ from: 1, rev: 1, moved: { serial: [a.serial], count: [7], rate: [2], beat: [101] } });
    const once = applyBoard(known(a), patch) as Board;
    const twice = applyBoard(once, patch) as Board;
    expect(twice.tasks.get(a.serial)?.count).toBe(7);
    expect(twice.tasks.size).toBe(1);
  });

  it("a board that is not there has no summary and no tasks", () => {
    const next = applyBoard(known(row("a")), event({ whole: true, from: null, summary: null }));
    expect(next?.summary).toBeNull();
    expect(next?.tasks.size).toBe(0);
  });

  it("the course goes on from the summaries, at one point a second, and a new unit has no past", () => {
    const course = { at: [98, 99], running: [1, 1], success: [0, 0], rates: { it: [1, 2] } };
    let board = applyBoard(null, event({ whole: true, from: null, rev: 1, throughput: course })) as Board;
    board = applyBoard(board, event({ from: 1, rev: 2, summary: summary({ taken_at: 100.4 }) })) as Board;
    board = applyBoard(
      board,
      event({ from: 2, rev: 3, summary: summary({ taken_at: 101.2, rates: { bar: 8 } }) }),
    ) as Board;
    expect(board.throughput.at).toEqual([98, 99, 100, 101.2]);
    expect(board.throughput.rates).toEqual({ it: [1, 2, 5, null], bar: [null, null, null, 8] });
  });

  it("a course keeps a quarter of an hour", () => {
    let board = known();
    for (let second = 0; second < 2000; second++) {
      board = applyBoard(
        board,
        event({ from: board.rev, rev: board.rev + 1, summary: summary({ taken_at: 200 + second }) }),
      ) as Board;
    }
    const { at, running, success, rates } = board.throughput;
    expect(at.length).toBe(901);
    expect([running.length, success.length, rates["it"]?.length]).toEqual([901, 901, 901]);
  });
});

describe("events of all boards", () => {
  it("are merged by name and sorted", () => {
    const first = applyBoards([], {
      now: 1,
      whole: true,
      boards: [summary({ name: "b" }), summary({ name: "c" })],
      removed: [],
      error: null,
    });
    const next = applyBoards(first, {
      now: 2,
      whole: false,
      boards: [summary({ name: "a" }), summary({ name: "b", host: "new" })],
      removed: ["c"],
      error: null,
    });
    expect(next.map((one) => [one.name, one.host])).toEqual([
      ["a", "box"],
      ["b", "new"],
    ]);
  });
});

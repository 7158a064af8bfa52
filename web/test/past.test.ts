import { describe, expect, it } from "vitest";
import type { Finished, History } from "../src/feed/types";
import { extended, keyOf, renewed } from "../src/model/past";

/** Tasks that ended at these seconds. */
function tasks(...ends: number[]): Finished[] {
  return ends.map((ended) => ({ uuid: "u", slot: 0, generation: ended, started: 0, ended }) as Finished);
}

function page(next: string | null, count: number | null, ...ends: number[]): History {
  return { now: 0, board: "b", tasks: tasks(...ends), next, count };
}

const ends = (list: readonly Finished[]): (number | null)[] => list.map((task) => task.ended);

describe("the list of finished tasks", () => {
  it("grows by older pages, and by what ends", () => {
    let past = renewed(null, page("8", 5, 9, 8));
    expect(ends(past.tasks)).toEqual([9, 8]);
    past = extended(past, page("6", null, 7, 6));
    expect([ends(past.tasks), past.next, past.count]).toEqual([[9, 8, 7, 6], "6", 5]);
    past = renewed(past, page("9", 6, 10, 9));
    expect([ends(past.tasks), past.next, past.count]).toEqual([[10, 9, 8, 7, 6], "6", 6]);
  });

  it("leaves no gap: where many ended at once, it begins anew", () => {
    const past = extended(renewed(null, page("8", 4, 9, 8)), page("6", null, 7, 6));
    const next = renewed(past, page("20", 30, 21, 20));
    expect([ends(next.tasks), next.next]).toEqual([[21, 20], "20"]);
  });

  it("drops what is not there any more", () => {
    const past = renewed(null, page("8", 3, 9, 8));
    expect(ends(renewed(past, page(null, 1, 9)).tasks)).toEqual([9]);
  });

  it("tells the runs of a resumed task apart", () => {
    const [one] = tasks(1) as [Finished];
    expect(keyOf(one)).not.toBe(keyOf({ ...one, started: 5 }));
  });
});
